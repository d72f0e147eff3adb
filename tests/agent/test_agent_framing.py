"""What agent and worker say to each other arrives as it was said, and nonsense is told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_agent.framing import (
    BadFrame,
    Finished,
    FromWorker,
    Order,
    Raised,
    Ready,
    Said,
    Start,
    StartProblem,
    decode,
    decode_order,
    decode_start,
    encode,
    encode_order,
    encode_start,
)
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import DerivedFile, Done, Failed, Progress, Task

# Any character, lone surrogates of undecodable names included.
texts = st.text(st.characters(exclude_characters="\0"))
paths = texts.filter(bool).map(lambda text: Path("/w") / text.replace("/", "_"))
plain = st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts)
files = st.builds(
    DerivedFile, kind=texts, path=paths, content_type=texts, index=st.integers(0, 100)
)
done = st.builds(
    Done,
    job_id=texts,
    facts=st.dictionaries(texts, st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
    files=st.lists(files).map(tuple),
    data=plain,
    warnings=st.lists(texts).map(tuple),
    metrics=plain,
)
failed = st.builds(Failed, job_id=texts, code=texts, message=texts, retryable=st.booleans())
messages = (
    st.just(Ready())
    | st.builds(StartProblem, message=texts)
    | st.builds(Progress, job_id=texts, current=st.integers(), total=st.integers(), text=texts)
    | st.builds(Said, outcome=done | failed, processor=texts, version=texts)
    | st.builds(Raised, code=texts, message=texts, retryable=st.booleans())
    | st.builds(Finished, memory=st.integers(0))
)
orders = st.builds(
    Order,
    source=paths,
    media_type=st.sampled_from(MediaType),
    tasks=st.lists(st.builds(Task, job_id=texts, job_type=texts, parameters=plain)).map(tuple),
    workspace=paths,
    facts=st.dictionaries(texts, st.integers() | texts),
    derived_inputs=st.dictionaries(texts, st.lists(paths).map(tuple)),
)


@given(messages)
def test_messages_arrive_as_they_were_said(message: FromWorker) -> None:
    """Any name and text passes, on one line."""
    line = encode(message)
    assert decode(line) == message
    assert line.count(b"\n") == 1


@given(orders)
def test_orders_arrive_as_they_were_given(order: Order) -> None:
    """Also with newlines and undecodable bytes in names."""
    line = encode_order(order)
    assert decode_order(line) == order
    assert line.count(b"\n") == 1


def test_a_start_arrives() -> None:
    """Limits and plugins."""
    start = Start(memory_limit=1, niceness=2, disabled_plugins=("a",), search_path=("/x\ny",))
    assert decode_start(encode_start(start)) == start


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"bytes"])
def test_a_result_that_is_no_plain_data_is_refused_by_its_sender(value: object) -> None:
    """Only JSON leaves a worker."""
    with pytest.raises((TypeError, ValueError)):
        encode(Said(outcome=Done(job_id="j", data={"x": value})))


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
json_values = scalars | st.lists(scalars | st.lists(scalars, max_size=4), max_size=3) | plain


@given(
    st.sampled_from(["Ready", "Progress", "Said", "Raised", "Finished", "other"]),
    st.dictionaries(
        st.sampled_from(["job_id", "code", "message", "retryable", "memory", "text", "outcome"]),
        json_values,
    ),
)
def test_nonsense_is_no_message(name: str, fields: dict[str, object]) -> None:
    """What a broken worker sends is a message in full or `BadFrame`, and no other error."""
    line = json.dumps({"is": name, **fields}).encode()
    try:
        message = decode(line)
    except BadFrame:
        return
    assert isinstance(message, FromWorker)


WRONG_VALUES: dict[str, list[object]] = {
    "is": [None, "done", ["Done"], {}],
    "job_id": [None, 1, True, ["j"], {}],
    "facts": [None, "", [], [["width", 1]]],
    "files": [None, "", {}, ["k"], [[]], [{"kind": "k", "path": 1, "content_type": "c"}]],
    "data": [None, "", []],
    "warnings": [None, "abc", {"a": 1}, [1], [["a"]]],
    "unknown": [1],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG_VALUES.items() for value in values]
)
def test_a_value_of_another_type_is_not_converted(name: str, value: object) -> None:
    """A text is no list of letters, a number no text, and what nobody knows is refused."""
    right = {"is": "Done", "job_id": "j", "files": [], "warnings": []}
    assert isinstance(decode(json.dumps({"is": "Said", "outcome": right}).encode()), Said)
    with pytest.raises(BadFrame):
        decode(json.dumps({"is": "Said", "outcome": {**right, name: value}}).encode())


@pytest.mark.parametrize("memory", [None, True, 1.0, "1", [1]])
def test_only_an_integer_is_one(memory: object) -> None:
    """Neither is the text of one, nor a truth value."""
    with pytest.raises(BadFrame):
        decode(json.dumps({"is": "Finished", "memory": memory}).encode())


def test_facts_and_data_are_judged_by_whoever_gets_them() -> None:
    """A wrong fact is the fault of one task, and does not end the worker's life."""
    said = Said(outcome=Done(job_id="j", facts={"width": "wide", "iso": True}, data={"x": [None]}))
    assert decode(encode(said)) == said


@pytest.mark.parametrize("line", [b"[]", b"null", b'"x"', b"{", b"", b"[" * 100_000])
def test_a_broken_order_or_start_is_told_apart(line: bytes) -> None:
    """The worker checks what it hears like the agent does."""
    for read in (decode_start, decode_order, decode):
        with pytest.raises(BadFrame):
            read(line)


def test_a_complaint_is_short() -> None:
    """However much nonsense is sent, the message about it stays one that a person can read."""
    with pytest.raises(BadFrame) as caught:
        decode(json.dumps({"is": "x" * 100_000}).encode())
    assert len(str(caught.value)) < 400


@given(st.binary())
def test_noise_is_no_message(noise: bytes) -> None:
    """Neither are random bytes."""
    with pytest.raises(BadFrame):
        decode(noise)
