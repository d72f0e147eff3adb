"""Every name that the code records has a sentence, and the sentences say what was recorded."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from importlib import import_module
from itertools import pairwise, product
from pathlib import Path
from types import ModuleType

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

import retaia_core
from retaia_core.domain.attachments import News
from retaia_core.domain.discovery import Noted
from retaia_core.domain.fixity import news
from retaia_core.domain.history import (
    OPERATIONS,
    SENTENCES,
    Place,
    name_of_row,
    sentence_of,
    told,
    told_entry,
    who,
    woven,
)
from retaia_core.domain.identifiers import RelPath
from retaia_core.domain.journal import Event, JournalEntry, Phase
from retaia_core.domain.lifecycle import Action
from retaia_core.domain.moves import Outcome
from retaia_core.testing.clock import START
from retaia_core.testing.samples import event, journal_entry

SOURCES = Path(retaia_core.__file__).parents[1]
RECORDERS = {"record": 2, "save_step": 3, "step": 2}
"""What writes an event, and which of its arguments is the name."""

_MOVES = ("move", "undo")
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "asset.{noted}": tuple(f"asset.{n}" for n in Noted if n not in (Noted.SAME, Noted.SIGHTED)),
    "asset.{action.lower()}": tuple(
        f"asset.{a.lower()}" for a in (Action.COMPLETE, Action.RELEASE)
    ),
    "sidecar.{said}": tuple(f"sidecar.{said}" for said in News),
    "decision.{action.lower()}": ("decision.keep", "decision.reject", "decision.clear"),
    "{result.move.operation}.{result.outcome.lower()}": tuple(
        f"{operation}.{outcome.lower()}"
        for operation, outcome in product(_MOVES, Outcome)
        if outcome is not Outcome.PENDING
    ),
    "{move.operation}.queued": tuple(f"{operation}.queued" for operation in _MOVES),
    "news(old, new)": tuple(re.findall(r"fixity\.\w+", inspect.getsource(news))),
    "{parked.move.operation}.settled": tuple(f"{operation}.settled" for operation in _MOVES),
    "_SETTLED[status]": tuple(
        f"suggestion.{said}" for said in ("accepted", "refused", "taken_back")
    ),
}
"""Names that are put together, by how; a new way has to be entered here."""


@frozen
class Found:
    """A name in the code: the names that it can be, and where it stands."""

    names: tuple[str, ...]
    where: str


def _spelt(node: ast.JoinedStr) -> str:
    parts = (
        str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"
        for part in node.values
        if isinstance(part, ast.Constant | ast.FormattedValue)
    )
    return "".join(parts)


def _names(
    node: ast.expr, inside: ast.FunctionDef | ast.AsyncFunctionDef, module: ModuleType
) -> tuple[str, ...]:
    """The names that an expression can have; a variable is looked up in its function, then its module."""
    if isinstance(node, ast.Constant):
        return () if node.value is None else (str(node.value),)
    if isinstance(node, ast.IfExp):
        return (*_names(node.body, inside, module), *_names(node.orelse, inside, module))
    if isinstance(node, ast.JoinedStr):
        return FAMILIES.get(_spelt(node), (_spelt(node),))
    if isinstance(node, ast.Name):
        given = [
            name
            for each in ast.walk(inside)
            if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == node.id
            for name in _names(each.value, inside, module)
        ]
        return tuple(given) or (str(getattr(module, node.id, f"what {node.id} is")),)
    return FAMILIES.get(ast.unparse(node), (f"what {ast.unparse(node)} is",))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).removeprefix("self.")


def _passed_on(tree: ast.Module, recorders: dict[str, int]) -> dict[str, int]:
    """The functions of a module that record under a name which they are given themselves."""
    found = dict(recorders)
    for function in _functions(tree):
        arguments = [a.arg for a in function.args.args if a.arg != "self"]
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and _called(call) in recorders:
                name = _name_in(call, recorders[_called(call)])
                if isinstance(name, ast.Name) and name.id in arguments:
                    found[function.name] = arguments.index(name.id)
    return found


def _name_in(call: ast.Call, position: int) -> ast.expr | None:
    named = {k.arg: k.value for k in call.keywords}
    return named.get("name") or (call.args[position] if len(call.args) > position else None)


def _recorded(path: Path) -> Iterator[Found]:
    """The names under which a module writes events."""
    tree = ast.parse(path.read_text("utf-8"))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    trail = {a.name for n in imports if (n.module or "").endswith("trail") for a in n.names}
    recorders = {name: at for name, at in RECORDERS.items() if name in trail}
    if any(a.name == "Event" for n in imports if "journal" in (n.module or "") for a in n.names):
        recorders["Event"] = 99
    if not recorders:
        return
    module = import_module(".".join(path.relative_to(SOURCES).with_suffix("").parts))
    passing = _passed_on(tree, recorders)
    for function in _functions(tree):
        own = passing.get(function.name)
        arguments = [a.arg for a in function.args.args if a.arg != "self"]
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and _called(call) in passing:
                name = _name_in(call, passing[_called(call)])
                handed = isinstance(name, ast.Name) and name.id in arguments and own is not None
                if name is not None and not handed:
                    yield Found(_names(name, function, module), f"{path.name}:{call.lineno}")


def _modules() -> Iterator[Path]:
    """Everything that runs; the trail itself and what reads rows back give no names."""
    for path in sorted(SOURCES.rglob("*.py")):
        apart = {"testing", "migrations", "demo"} & set(path.parts)
        if not apart and path.name not in ("trail.py", "records.py"):
            yield path


def test_every_event_that_the_code_records_has_a_sentence() -> None:
    """Whoever records a new event writes its sentence, and none is left that nobody records."""
    found = [each for path in _modules() for each in _recorded(path)]
    unspoken = [(n, each.where) for each in found for n in each.names if n not in SENTENCES]
    assert unspoken == [], "write a sentence in retaia_core/domain/history.py, or name the family"
    silent = set(SENTENCES) - {name for each in found for name in each.names}
    assert silent == set(), "nobody records these any more"


def test_the_search_finds_what_is_there() -> None:
    """The search itself is no test that cannot fail: it finds literals, variables and families."""
    usecases = SOURCES / "retaia_core" / "usecases"
    found = {name for each in _recorded(usecases / "review.py") for name in each.names}
    assert {"asset.reopen", "decision.keep", "asset.annotated"} <= found
    storages = {name for each in _recorded(usecases / "storages.py") for name in each.names}
    assert {"storage.online", "storage.offline"} <= storages


def test_every_operation_of_the_journal_has_words() -> None:
    """The journal's operations are those of moves and purges, and each phase of them is said."""
    for operation, phase in product(OPERATIONS, Phase):
        said = told_entry(journal_entry(phase, operation=operation))
        assert OPERATIONS[operation][0 if phase is Phase.INTENT else 1] in said


def test_a_sentence_names_who_where_and_why() -> None:
    """What was recorded is said; a name with control characters cannot spoil the line."""
    data = {
        "source": "INBOX/a\n\u202e.mov",
        "target": "ARCHIVE/a.mov",
        "batch": "b1",
        "error": "I/O error [5] {who}",
    }
    assert told(event("move.moved", data=data)) == (
        "Retaia moved it from 'INBOX/a\\n\\u202e.mov' to 'ARCHIVE/a.mov', "
        "and verified it there (batch b1)"
    )
    assert "I/O error [5] {who} (batch b1)" in told(event("move.failed", data=data))
    assert told(event("decision.keep", actor="person:ada")) == "person:ada kept it"
    assert who("system:retaia") == "Retaia"


@pytest.mark.parametrize("phase", Phase)
def test_the_journal_says_where_from_and_where_to(phase: Phase) -> None:
    """Both places stand in every sentence; the evidence where there is some."""
    entry = journal_entry(phase, evidence={"error": "no room", "found": "source", "by": "person:a"})
    said = told_entry(entry)
    assert repr(entry.source) in said
    assert repr(entry.target) in said
    assert ("no room" in said) is (phase is Phase.FAILED)
    assert ("person:a" in said) is (phase is not Phase.INTENT)


def test_a_name_nobody_knows_is_still_told() -> None:
    """An event of a plugin, or of a version that is gone, is shown with all it says."""
    said = told(event("grove.felled", actor="person:ada", data={"trees": [1, 2], "ok": True}))
    assert said == "person:ada noted grove.felled: trees=1, 2, ok=yes"
    assert told_entry(journal_entry(operation="fell")).startswith("Retaia is about to fell")


@given(st.sampled_from(sorted(SENTENCES)), st.dictionaries(st.text(), st.text() | st.integers()))
def test_whatever_stands_in_an_event_a_sentence_comes_out(
    name: str, data: dict[str, object]
) -> None:
    """Data that is missing, of another type or hostile makes no error and no open bracket."""
    assert told(event(name, data=data)).startswith(("Retaia ", "system:"))


ROWS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12)


@given(ROWS)
def test_weaving_loses_nothing_and_keeps_each_order(made: list[tuple[int, bool]]) -> None:
    """Every row is there once; each trail keeps its order; clocks that go on weave by time."""
    rows: list[Event | JournalEntry] = [
        event(seq=n, at=START + timedelta(seconds=s))
        if is_event
        else journal_entry(seq=n, at=START + timedelta(seconds=s))
        for n, (s, is_event) in enumerate(made, start=1)
    ]
    events = [row for row in rows if isinstance(row, Event)]
    entries = [row for row in rows if isinstance(row, JournalEntry)]
    out = list(woven(events, entries))
    assert [row for row in out if isinstance(row, Event)] == events
    assert [row for row in out if isinstance(row, JournalEntry)] == entries
    if all(a.at <= b.at for trail in (events, entries) for a, b in pairwise(trail)):
        assert [row.at for row in out] == sorted(row.at for row in rows)


def test_at_one_instant_what_was_proven_comes_first() -> None:
    """The proof, then the event that tells it, then what is about to be done."""
    done, intent = journal_entry(Phase.DONE, seq=1), journal_entry(Phase.INTENT, seq=2)
    said = event("move.moved", seq=1)
    assert list(woven([said], [done, intent])) == [done, said, intent]
    assert [name_of_row(row) for row in (done, said)] == ["move.done", "move.moved"]


def test_a_place_is_behind_its_rows() -> None:
    """A place counts both trails apart."""
    place = Place().past(event(seq=7)).past(journal_entry(seq=3, source=RelPath("a")))
    assert place == Place(event=7, entry=3)
    assert sentence_of(event("batch.done")) == "Retaia finished the batch"
