"""Draws the state machine as SVG, from its table alone.

Only the places of the states are chosen by hand; every arrow and every word on it comes from a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby

from attrs import frozen

from retaia_core.domain.actors import ActorKind
from retaia_core.domain.lifecycle import Rule, State

WIDTH, HEIGHT = 900, 990
BOX_WIDTH, BOX_HEIGHT = 190, 40
LEFT, MIDDLE, RIGHT = 225, 450, 675
COLOURS: Mapping[ActorKind, str] = {
    ActorKind.PERSON: "#b4530a",
    ActorKind.AGENT: "#0b6e99",
    ActorKind.SYSTEM: "#5b6470",
    ActorKind.MCP: "#7a3e9d",
}


def _row(number: int) -> int:
    return 40 + 100 * number


PLACES: Mapping[State, tuple[int, int]] = {
    State.DISCOVERED: (MIDDLE, _row(0)),
    State.READY: (MIDDLE, _row(1)),
    State.PROCESSING_REVIEW: (MIDDLE, _row(2)),
    State.PROCESSED: (MIDDLE, _row(3)),
    State.DECISION_PENDING: (MIDDLE, _row(4)),
    State.DECIDED_KEEP: (LEFT, _row(5)),
    State.DECIDED_REJECT: (RIGHT, _row(5)),
    State.MOVE_QUEUED: (MIDDLE, _row(6) + 20),
    State.ARCHIVED: (LEFT, _row(7) + 40),
    State.REJECTED: (RIGHT, _row(7) + 40),
    State.PURGED: (RIGHT, _row(8) + 60),
}

# Arrows that would cross a box run along a lane: its x, and how far from the middle of the two boxes
# the arrow leaves and arrives.
LANES: Mapping[tuple[State, State], tuple[int, int, int]] = {
    (State.READY, State.DECISION_PENDING): (MIDDLE - 160, 8, -10),
    (State.PROCESSED, State.READY): (MIDDLE + 160, 0, 8),
    (State.ARCHIVED, State.DECISION_PENDING): (75, -8, 8),
    (State.ARCHIVED, State.READY): (30, 8, -8),
    (State.REJECTED, State.DECISION_PENDING): (825, -8, 8),
    (State.REJECTED, State.READY): (870, 8, -8),
}


@frozen(kw_only=True)
class Arrow:
    """All rows of one actor from one state to another."""

    source: State
    target: State
    actor: ActorKind
    words: str


def arrows(rules: Iterable[Rule]) -> list[Arrow]:
    """Join the rows that would be drawn on top of each other."""

    def ends(rule: Rule) -> tuple[State, State, ActorKind]:
        return rule.source, rule.target, rule.actor

    return [
        Arrow(
            source=source,
            target=target,
            actor=actor,
            words=", ".join(dict.fromkeys(_words(rule) for rule in same)),
        )
        for (source, target, actor), same in groupby(sorted(rules, key=ends), key=ends)
    ]


def draw(rules: Iterable[Rule]) -> str:
    """Return the diagram as an SVG document."""
    drawn = arrows(rules)
    lines = [_line(arrow, drawn) for arrow in drawn]
    paths = [
        f'<path d="{line.path}" stroke="{COLOURS[arrow.actor]}" '
        f'marker-end="url(#head-{arrow.actor.lower()})"/>'
        for arrow, line in zip(drawn, lines, strict=True)
    ]
    words = [
        f'<text x="{line.x:g}" y="{line.y:g}" text-anchor="{line.anchor}" '
        f'fill="{COLOURS[arrow.actor]}">{escape(arrow.words)}</text>'
        for arrow, line in zip(drawn, lines, strict=True)
    ]
    boxes = [_box(state) for state in State]
    parts = [_HEAD, *_heads(), *_legend(), _PATHS, *paths, "</g>", *boxes, _WORDS, *words, "</g>"]
    return "\n".join([*parts, "</svg>", ""])


_HEAD = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
    f'height="{HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="13">\n'
    "<title>The states of an asset, and who may change them</title>\n"
    f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="#ffffff"/>'
)
_PATHS = '<g fill="none" stroke-width="1.6">'
_WORDS = '<g paint-order="stroke" stroke="#ffffff" stroke-width="4" stroke-linejoin="round">'

_Place = tuple[int, int]


@frozen(kw_only=True)
class _Line:
    """An arrow's path, and where its words stand (``anchor`` is SVG's ``text-anchor``)."""

    path: str
    x: float
    y: float
    anchor: str


def _words(rule: Rule) -> str:
    return rule.action.value.lower().replace("_", " ")


def _heads() -> list[str]:
    return [
        f'<marker id="head-{actor.lower()}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{colour}"/></marker>'
        for actor, colour in COLOURS.items()
    ]


def _legend() -> list[str]:
    shown = [ActorKind.PERSON, ActorKind.AGENT, ActorKind.SYSTEM]
    return [
        f'<text x="40" y="{HEIGHT - 70 + 20 * n}" fill="{COLOURS[actor]}" font-weight="600">'
        f"→ {actor.lower()}</text>"
        for n, actor in enumerate(shown)
    ]


def _box(state: State) -> str:
    x, y = PLACES[state]
    corner = f'x="{x - BOX_WIDTH / 2:g}" y="{y - BOX_HEIGHT / 2:g}"'
    return (
        f'<rect {corner} width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="10" fill="#f4f6f8" '
        f'stroke="#39424e"/><text x="{x}" y="{y + 5}" text-anchor="middle" font-weight="600" '
        f'fill="#1c232b">{state}</text>'
    )


def _line(arrow: Arrow, drawn: list[Arrow]) -> _Line:
    start, end = PLACES[arrow.source], PLACES[arrow.target]
    lane = LANES.get((arrow.source, arrow.target))
    if start == end:
        return _loop(start)
    if lane is not None:
        return _along(lane, start, end)
    if start[1] == end[1]:
        return _level(start, end)
    return _upright(start, end, aside=_aside(arrow, drawn))


def _aside(arrow: Arrow, drawn: list[Arrow]) -> int:
    """How far right of the middle an arrow runs, so that arrows of one pair of states stay apart."""
    ends = (arrow.source, arrow.target)
    same = [other for other in drawn if (other.source, other.target) == ends]
    if len(same) > 1:
        return 26 * same.index(arrow) - 13 * (len(same) - 1)
    back = any((other.target, other.source) == ends for other in drawn)
    downward = PLACES[arrow.target][1] > PLACES[arrow.source][1]
    return (16 if downward else -16) if back else 0


def _loop(place: _Place) -> _Line:
    x, top = place[0] + 72, place[1] - BOX_HEIGHT // 2
    path = f"M{x - 20} {top}C{x - 25} {top - 34} {x + 30} {top - 34} {x + 20} {top - 1}"
    return _Line(path=path, x=x + 26, y=top - 14, anchor="start")


def _along(lane: tuple[int, int, int], start: _Place, end: _Place) -> _Line:
    """Run along a lane, with round corners; the words stand inside an outer, outside an inner one."""
    x, leave, arrive = lane
    side = 1 if x > start[0] else -1
    x1, y1 = start[0] + side * BOX_WIDTH // 2, start[1] + leave
    x2, y2 = end[0] + side * BOX_WIDTH // 2, end[1] + arrive
    turn = 10 if y2 > y1 else -10
    path = (
        f"M{x1} {y1}H{x - side * 10}Q{x} {y1} {x} {y1 + turn}"
        f"V{y2 - turn}Q{x} {y2} {x - side * 10} {y2}H{x2}"
    )
    if abs(x - MIDDLE) > BOX_WIDTH:
        return _Line(path=path, x=x - side * 14, y=y2 + 18, anchor="end" if side > 0 else "start")
    return _Line(path=path, x=x + side * 6, y=(y1 + y2) / 2, anchor="start" if side > 0 else "end")


def _level(start: _Place, end: _Place) -> _Line:
    """Run level between neighbours: to the right above, to the left below the middle."""
    side = 1 if end[0] > start[0] else -1
    x1, x2 = start[0] + side * BOX_WIDTH // 2, end[0] - side * BOX_WIDTH // 2
    y = start[1] - side * 7
    return _Line(path=f"M{x1} {y}H{x2}", x=(x1 + x2) / 2, y=y + 5 - side * 11, anchor="middle")


def _upright(start: _Place, end: _Place, *, aside: int) -> _Line:
    """Run straight from the lower edge of one box to the upper edge of another, or back."""
    down = 1 if end[1] > start[1] else -1
    lean = (end[0] > start[0]) - (end[0] < start[0])
    x1, y1 = start[0] + lean * BOX_WIDTH / 4 + aside, start[1] + down * BOX_HEIGHT / 2
    x2, y2 = end[0] - lean * BOX_WIDTH / 4 + aside, end[1] - down * BOX_HEIGHT / 2
    # On a slope the words go towards the outer box, where there is more room.
    share = 0.5 if lean == 0 else 0.68 if start[0] == MIDDLE else 0.32
    right = aside >= 0
    return _Line(
        path=f"M{x1:g} {y1:g}L{x2:g} {y2:g}",
        x=x1 + (x2 - x1) * share + (1 if right else -1) * (8 if lean == 0 else 14),
        y=y1 + (y2 - y1) * share + 4,
        anchor="start" if right else "end",
    )
