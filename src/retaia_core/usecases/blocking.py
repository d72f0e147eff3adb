"""Where use cases do what may block for long: a look at a share, a rename, a checksum."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar, TypeVarTuple

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Blocking(Protocol):
    """Runs a synchronous function away from the event loop, and answers or raises what it does."""

    async def __call__(self, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T: ...


async def in_thread(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run a function in a worker thread; it is waited for even where the caller is cancelled."""
    return await anyio.to_thread.run_sync(function, *arguments)


async def in_thread_of_its_own(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run a function in a thread that is left behind where the caller is cancelled.

    Only for what changes nothing: the function may go on, and end, later. The thread does not keep the
    program from ending.
    """
    ended, loop = anyio.Event(), anyio.lowlevel.current_token()
    answers: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is waited for
            errors.append(error)
        with suppress(RuntimeError):  # The event loop is gone, and nobody waits any more.
            anyio.from_thread.run_sync(ended.set, token=loop)

    threading.Thread(target=work, name="retaia reads", daemon=True).start()
    await ended.wait()
    if errors:
        raise errors[0]
    return answers[0]
