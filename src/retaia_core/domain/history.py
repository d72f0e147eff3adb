"""What was done, as a person reads it: one sentence for each event and each line of the journal.

The sentences stand in two tables. In them ``{name}`` is a value of the data (``{name!r}`` a path or a
name, quoted and with control characters escaped), ``{who}`` the actor; a part in brackets is left out
where a value of it is missing, empty or no (``{name!-}`` asks for it and says nothing itself). A test
finds every name that the code records, and fails where one has no sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from attrs import frozen

from .actors import SYSTEM
from .journal import Event, JournalEntry, Phase

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        # Found by a scan
        "asset.discovered": "{who} found it at {path!r}",
        "asset.became_ready": "{who} found it stable: it is whole, and ready to be prepared",
        "asset.changed": "{who} saw that its file changed after it was prepared",
        "asset.replaced": "{who} saw that its file was replaced; it is prepared anew",
        "asset.returned": "{who} saw its file again",
        "asset.missing": "{who} did not see its file any more; nothing was deleted by Retaia",
        "asset.moved_by_hand": "{who} saw that somebody moved it by hand[ from {source!r}][ to {target!r}]",
        # Sidecars that a person attached
        "sidecar.attached": "{who} attached the sidecar {sidecar!r} to it",
        "sidecar.detached": "{who} took the sidecar {sidecar!r} off it",
        "sidecar.missing": (
            "{who} did not see the sidecar {sidecar!r} any more, which a person attached: "
            "it moves once that is back or taken off"
        ),
        "sidecar.returned": "{who} saw the sidecar {sidecar!r} again, which a person attached",
        "sidecar.changed": "{who} saw that the sidecar {sidecar!r} changed, which a person attached",
        "sidecar.left_behind": (
            "{who} saw that the sidecar {sidecar!r}, which a person attached, is not beside it any more "
            "after it was moved by hand: it belongs to nothing now"
        ),
        # Prepared by agents
        "asset.claim": "{who} began to prepare it for review",
        "asset.complete": "{who} saw that all required work on it is done",
        "asset.release": "{who} put it back to READY[: required work failed for good: {reasons}]",
        "asset.offer": "{who} offered it for a decision",
        "jobs.claimed": "{who} took on {jobs}[ (fencing number {fencing})]",
        "job.completed": "{who} completed {job}[, with warnings: {warnings}]",
        "job.reused": "{who} completed {job} with the stored result of asset {of}, whose content is the same",
        "job.failed": "{who} could not do {job}: {code}: {message}[; no new try is made{for_good!-}]",
        "job.released": "{who} gave {job} back undone",
        "job.lost": "{who} took {job} back from agent {agent}, which was not heard of in time",
        "hook.called": "{who} asked the hook {hook}[, which failed: {problem}]",
        # Decided by people
        "decision.keep": "{who} kept it[ (bulk decision {approval})]",
        "decision.reject": "{who} rejected it[ (bulk decision {approval})]",
        "decision.clear": "{who} took the decision back[ (bulk decision {approval})]",
        "bulk_decision.applied": "{who} decided {action} on {decided} assets at once; {left} were left",
        "asset.reopen": "{who} reopened it for a new decision; no file moved",
        "asset.reprocess": "{who} had it processed again; its old results were dropped",
        "asset.retry": "{who} asked for a new try of the failed work",
        "asset.waive": "{who} waived the failed work, to decide all the same",
        "asset.profile": "{who} chose the profile {profile}",
        "asset.annotated": (
            "{who} changed its {changed}[; tags added: {tags_added}]"
            "[; tags removed: {tags_removed}][; fields: {fields}]"
        ),
        "suggestion.accepted": "{who} accepted a suggested tag[ of {source}]",
        "suggestion.refused": "{who} refused a suggested tag[ of {source}]",
        "suggestion.taken_back": "{who} took back what they said of a suggested tag[ of {source}]",
        # Moved
        "batch.accepted": (
            "{who} confirmed a batch of {moves} moves[; {blocked} assets stayed][, to undo batch {undoes}]"
        ),
        "batch.done": "{who} finished the batch",
        "move.queued": "{who} had it queued to be moved by batch {batch}",
        "move.moved": "{who} moved it from {source!r} to {target!r}, and verified it there (batch {batch})",
        "move.failed": (
            "{who} could not move it, and verified that it is where it was[: {error}]"
            " (batch {batch})"
        ),
        "move.parked": "{who} could not prove where its files are after the move[: {error}] (batch {batch})",
        "move.settled": "{who} looked at the evidence and said of its move: {choice} (batch {batch})",
        "undo.queued": "{who} had it queued to be moved back by batch {batch}",
        "undo.moved": (
            "{who} moved it back from {source!r} to {target!r}"
            ", and verified it there (batch {batch})"
        ),
        "undo.failed": (
            "{who} could not move it back, and verified that it is where it was[: {error}]"
            " (batch {batch})"
        ),
        "undo.parked": (
            "{who} could not prove where its files are after moving it back[: {error}]"
            " (batch {batch})"
        ),
        "undo.settled": "{who} looked at the evidence and said of moving it back: {choice} (batch {batch})",
        # Read again, byte for byte
        "fixity.mismatch": (
            "{who} read {path!r} and found another content than was recorded"
            "[: {found} instead of {digest}]"
        ),
        "fixity.renewed": "{who} recorded the checksum of {path!r} anew, since the file is another now",
        "fixity.restored": "{who} read {path!r} and found the recorded content again",
        "fixity.unreadable": "{who} could not read the whole of {path!r}[: {problem}]",
        "fixity.readable": "{who} could read {path!r} again",
        "fixity.accepted": "{who} took the content that was found in {path!r} as right from now on",
        # Purged
        "purge.checked": "{who} looked for other copies of {files!r}",
        "purge.waived": "{who} waived the proof of another copy of {path!r}[: {reason}]",
        "purge.accepted": "{who} confirmed that {files} files ({bytes} bytes) are deleted for good",
        "purge.failed": "{who} could not delete all of its files[: {error}][; these still stand: {left!r}]",
        "purge.abandoned": "{who} gave an unfinished purge up, since the asset is {state} now",
        "purge.skipped": "{who} would have purged it, but: {problem}",
        "purge_policy.day": "{who} was on, to purge what was rejected {after_days} days ago",
        "purge_policy.off": "{who} was switched off; its days count anew when it is on again",
        "asset.purged": "{who} deleted all of its files for good ({bytes} bytes)",
        # Storages and the server
        "storage.adopted": "{who} adopted the storage[, with the inbox {inbox!r}]",
        "storage.online": "{who} found the storage online",
        "storage.offline": "{who} found the storage offline[: {reason}]",
        "account.disabled": "{who} disabled the account; its person was signed out",
        "account.enabled": "{who} enabled the account again",
        "account.unlocked": "{who} had its wrong attempts forgotten",
        "account.vouched": "{who} said that its address is its person's",
        "account.reset_sent": "{who} sent a message by which its person can choose a new password",
        "features.switched": "{who} switched features: {switches}",
    }
)
"""By the name of the event."""

_AFTER: Mapping[Phase, str] = MappingProxyType(
    {
        Phase.INTENT: "is about to {verb} {source!r}[ to {target!r}][ (undo of batch {undoes})]",
        Phase.DONE: "proved that {source!r} was {participle}[ to {target!r}][; a person said so: {by}]",
        Phase.FAILED: (
            "{source!r} was not {participle}[ to {target!r}][: {error}]"
            "[; it was found at: {found}][; a person said so: {by}]"
        ),
    }
)

OPERATIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "move": ("move", "moved"),
        "undo": ("move back", "moved back"),
        "purge": ("delete", "deleted"),
    }
)
"""What the journal's operations are called: as a verb, and as what was done."""

_PART = re.compile(r"\[([^\[\]]*)\]")
_VALUE = re.compile(r"\{(\w+)(!r|!-)?\}")


def who(actor: str) -> str:
    """Name an actor in a sentence.

    >>> who("person:ada"), who("agent:7"), who("system:retaia")
    ('person:ada', 'agent:7', 'Retaia')
    """
    return "Retaia" if actor == str(SYSTEM) else actor


def _text(value: object, *, quoted: bool) -> str:
    """A value in a sentence: lists by commas, a file by its path, other nested data by its keys."""
    if isinstance(value, Mapping):
        if quoted and "path" in value:
            return repr(str(value["path"]))
        return ", ".join(f"{key}={_text(item, quoted=False)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(item, quoted=quoted) for item in value)
    if value is True or value is False:
        return "yes" if value else "no"
    return repr(str(value)) if quoted else str(value)


def _empty(value: object) -> bool:
    """Whether a part of a sentence that names this value says nothing; the number 0 says something."""
    return value is None or value is False or value in ("", (), [], {})


def _filled(sentence: str, values: Mapping[str, object]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[2] == "!-":
            return ""
        return _text(values.get(found[1], "?"), quoted=found[2] == "!r")

    def said(n: int, piece: str) -> bool:
        return n % 2 == 0 or not any(_empty(values.get(name)) for name, _ in _VALUE.findall(piece))

    # The parts first and apart, so that a bracket in a value is never taken for one; every other is one.
    pieces = enumerate(_PART.split(sentence))
    return "".join(_VALUE.sub(value, piece) for n, piece in pieces if said(n, piece))


def told(event: Event) -> str:
    """What an event says, as a sentence without its time.

    >>> from datetime import UTC, datetime
    >>> from .identifiers import Subject
    >>> told(Event(subject=Subject(kind="asset", id="a"), name="decision.keep", actor="person:ada",
    ...            at=datetime(2026, 1, 1, tzinfo=UTC)))
    'person:ada kept it'
    """
    sentence = SENTENCES.get(event.name, "{who} noted {event}[: {data}]")
    values = {"event": event.name, "data": event.data, **event.data, "who": who(event.actor)}
    return _filled(sentence, values)


def told_entry(entry: JournalEntry) -> str:
    """What a line of the journal says, as a sentence without its time."""
    verb, participle = OPERATIONS.get(
        entry.operation, (entry.operation, f"done: {entry.operation}")
    )
    target = None if entry.target == entry.source else entry.target
    sentence = _AFTER[entry.phase]
    if entry.phase is not Phase.FAILED:
        sentence = f"{{who}} {sentence}"
    return _filled(
        sentence,
        {
            **entry.evidence,
            "who": who(str(SYSTEM)),
            "verb": verb,
            "participle": participle,
            "source": entry.source,
            "target": target,
        },
    )


Row = Event | JournalEntry
"""What a history is made of."""


@frozen(kw_only=True)
class Place:
    """How far a history was read: the numbers of the last event and of the last line of the journal."""

    event: int = 0
    entry: int = 0

    def past(self, row: Row) -> Place:
        """The place behind a row."""
        if isinstance(row, Event):
            return Place(event=row.seq, entry=self.entry)
        return Place(event=self.event, entry=row.seq)


def sentence_of(row: Row) -> str:
    """What a row says, as a sentence without its time."""
    return told(row) if isinstance(row, Event) else told_entry(row)


def name_of_row(row: Row) -> str:
    """The stable name of what a row says: that of the event, or the operation and its phase."""
    return row.name if isinstance(row, Event) else f"{row.operation}.{row.phase.lower()}"


def _order(row: Row) -> tuple[object, int]:
    # At one instant: what was proven, the event that tells it, what is about to be done.
    if isinstance(row, Event):
        return row.at, 1
    return row.at, 2 if row.phase is Phase.INTENT else 0


def woven(events: Iterable[Event], entries: Iterable[JournalEntry]) -> Iterator[Row]:
    """Weave two trails into one by time; each keeps its own order, whatever a clock did."""
    left, right = iter(events), iter(entries)
    event, entry = next(left, None), next(right, None)
    while event is not None or entry is not None:
        if entry is None or (event is not None and _order(event) <= _order(entry)):
            assert event is not None
            yield event
            event = next(left, None)
        else:
            yield entry
            entry = next(right, None)
