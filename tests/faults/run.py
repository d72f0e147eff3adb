"""One run: from a seed to what was violated."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

from attrs import frozen

from .choices import Choices
from .ending import Ending
from .loop import Stuck
from .plants import planted
from .story import Story
from .world import World


@frozen(kw_only=True)
class Result:
    """What came of a run."""

    seed: int
    violations: tuple[str, ...]
    stats: Counter[str]
    choices: tuple[int, ...]
    trace: tuple[str, ...] = ()


async def _tell(world: World) -> None:
    story = Story(world)
    await story.begin()
    await story.play()
    await Ending(world).check()


def run(
    seed: int,
    plants: Sequence[str] = (),
    *,
    given: Sequence[int] | None = None,
    trace: bool = False,
) -> Result:
    """Run a seed, or a list of choices that was kept."""
    choices = Choices(seed, given)
    world = World(choices, trace=trace)
    with warnings.catch_warnings(), planted(world, plants):
        # A server that is killed leaves work behind that never began.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        warnings.filterwarnings("ignore", "Unclosed <MemoryObject", ResourceWarning)
        try:
            world.loop.run(_tell(world))
        except Stuck as error:
            world.violate(f"stuck: {error}")
        except Exception:
            # What a use case raised in recovery was noted where it was raised.
            if not world.violations:
                raise
        finally:
            world.loop.end()
    for error in world.loop.errors:
        world.violate(f"unexpected: {error!r}")
    world.stats["turns"] += world.loop.turns
    return Result(
        seed=seed,
        violations=tuple(world.violations),
        stats=world.stats,
        choices=tuple(choices.made),
        trace=tuple(world.trace or ()),
    )
