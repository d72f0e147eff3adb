"""``python -m tests.faults --seeds A:B``: run many seeds; ``--seed N --trace``: read one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .campaign import Campaign, campaign
from .plants import PLANTS
from .run import Result, run
from .shrink import shrink


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", default="0:2000", help="from:to (default: %(default)s)")
    parser.add_argument("--jobs", "-j", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, help="run one seed")
    parser.add_argument("--trace", action="store_true", help="with --seed: print all that happened")
    parser.add_argument("--shrink", action="store_true", help="with --seed: make it small first")
    plants = ", ".join(PLANTS)
    parser.add_argument("--plant", action="append", default=[], metavar="NAME", help=plants)
    return parser


def _one(seed: int, plants: Sequence[str], *, trace: bool, smaller: bool) -> Result:
    found = run(seed, plants, trace=trace)
    if smaller and found.violations:
        small = shrink(found, plants)
        print(f"{len(found.choices)} choices became {len(small.choices)}")
        found = run(seed, plants, given=small.choices, trace=True)
    print(*found.trace, sep="\n")
    print(*found.violations or ("no violation",), sep="\n")
    return found


def _told(so_far: Campaign, fresh: int) -> None:
    for seed, violation in so_far.failed[len(so_far.failed) - fresh :]:
        print(f"seed {seed}: {violation}", flush=True)
    if so_far.count % 5_000 == 0:
        pace = so_far.count / so_far.seconds
        failed = len(so_far.failed)
        print(f"{so_far.count} seeds, {failed} failed, {pace:.0f} a second", flush=True)


def main() -> int:
    given = _options().parse_args()
    if given.seed is not None:
        found = _one(given.seed, given.plant, trace=given.trace, smaller=given.shrink)
        return 1 if found.violations else 0
    first, _, last = given.seeds.partition(":")
    seeds = range(int(first), int(last))
    done = campaign(seeds, given.plant, jobs=given.jobs, told=_told)
    for name, count in sorted(done.stats.items()):
        print(f"{count:10} {name}")
    missing = f"; never happened: {', '.join(done.missing)}" if done.missing else ""
    pace = done.count / done.seconds
    print(f"{done.count} seeds ({pace:.0f} a second), {len(done.failed)} with a violation{missing}")
    return 1 if done.failed or done.missing else 0


if __name__ == "__main__":
    sys.exit(main())
