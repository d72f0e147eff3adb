"""A loop for tasks and for blocking work in one thread, whose order a run chooses and whose time is virtual.

Coroutines run on it as they do on asyncio's own loops (anyio's task groups, streams and sleeps work).
A function that would block runs in a greenlet; it, and any coroutine, can stop at a *turn*: then the run
chooses who goes on. Time passes only when nobody can go on, or when somebody is made to wait.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from .choices import Choices

T = TypeVar("T")
MAX_TURNS = 200_000


class Dead(BaseException):
    """The process that calls was killed; nothing it does has any effect any more."""


class Stuck(Exception):
    """A run does not come to its end."""


class Turn:
    """A place where somebody waits for being chosen to go on."""

    __slots__ = ("future", "owner", "until")

    def __init__(self, owner: Owner, future: asyncio.Future[None], until: float) -> None:
        self.owner = owner
        self.future = future
        self.until = until

    def time(self) -> float:
        """Before which nobody goes on here."""
        return max(self.until, self.owner.until)


class Owner:
    """Who waits: a process, or the world outside. ``until`` is the time before which it stands still."""

    name = "world"

    def __init__(self) -> None:
        self.dead = False
        self.until = 0.0
        self.tasks: set[asyncio.Task[Any]] = set()


class Loop(asyncio.AbstractEventLoop):
    """An event loop that is all of the run's time and order."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.clock = 0.0
        self.turns = 0
        self.errors: list[BaseException] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._waiting: list[Turn] = []
        self._running = False
        self.all_tasks: set[asyncio.Task[Any]] = set()
        self.main = getcurrent()

    # What tasks and anyio ask of a loop

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        return self.clock

    def get_task_factory(self) -> None:
        return None

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        if context is None:
            task = asyncio.Task(coro, loop=self)
        else:
            task = asyncio.Task(coro, loop=self, context=context)
        self.all_tasks.add(task)
        task.add_done_callback(self.all_tasks.discard)
        current = asyncio.current_task(self)
        owner: Owner | None = getattr(current, "owner", None)
        if owner is not None:
            own(task, owner)
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.clock + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(str(context.get("message")))
        if not isinstance(error, Dead):
            self.errors.append(error)

    # Turns

    def turn(self, owner: Owner, delay: float = 0.0) -> asyncio.Future[None]:
        """To be awaited: others may go on meanwhile. ``delay`` is in seconds."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        self._waiting.append(Turn(owner, future, self.clock + delay))
        return future

    async def blocking(self, owner: Owner, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function that may stop at turns (`stand_aside`), away from the task that waits for it."""
        work = greenlet(function)
        value = work.switch(*arguments)
        while not work.dead:
            try:
                await self.turn(owner, value)
            except BaseException:  # noqa: BLE001 - whoever waits is gone, and so is the work
                value = work.throw(Dead())
            else:
                value = work.switch()
        answer: T = value
        return answer

    def can_stand_aside(self) -> bool:
        """Whether the code that runs now is blocking work, which can stop in the middle."""
        return getcurrent() is not self.main

    def stand_aside(self, delay: float = 0.0) -> None:
        """Stop here until chosen again; only for blocking work. ``delay`` is in seconds."""
        self.main.switch(delay)

    @property
    def others(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def kill(self, owner: Owner) -> None:
        """End an owner's tasks at once; what they hold open or half done stays as it is."""
        owner.dead = True
        mine = [turn for turn in self._waiting if turn.owner is owner]
        self._waiting = [turn for turn in self._waiting if turn.owner is not owner]
        for turn in mine:
            if not turn.future.done():
                turn.future.set_exception(Dead())
        for task in list(owner.tasks):
            task.cancel()

    # Running

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run until a coroutine is done."""
        asyncio._set_running_loop(self)
        self._running = True
        try:
            task = self.create_task(main)
            while not task.done():
                self._step(task)
            return task.result()
        finally:
            self._running = False
            asyncio._set_running_loop(None)

    def end(self) -> None:
        """End everything that still waits, so that nothing outlives the run."""
        asyncio._set_running_loop(self)
        try:
            for _ in range(1000):
                for turn in self._waiting:
                    turn.owner.dead = True
                    if not turn.future.done():
                        turn.future.set_exception(Dead())
                self._waiting.clear()
                open_tasks = [task for task in self.all_tasks if not task.done()]
                if not open_tasks:
                    return
                for task in open_tasks:
                    owner = getattr(task, "owner", None)
                    if owner is not None:
                        owner.dead = True
                    task.cancel()
                while self._ready:
                    handle = self._ready.popleft()
                    if not handle._cancelled:
                        handle._run()
        finally:
            asyncio._set_running_loop(None)

    def _step(self, main: asyncio.Task[Any]) -> None:
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
        self._fire_timers()
        if ready or main.done():
            return
        able = [turn for turn in self._waiting if turn.time() <= self.clock]
        if able:
            self.turns += 1
            if self.turns > MAX_TURNS:
                raise Stuck(f"{MAX_TURNS} turns, and no end")
            chosen = able[self.choices.below(len(able))] if len(able) > 1 else able[0]
            self._waiting.remove(chosen)
            if not chosen.future.done():
                chosen.future.set_result(None)
            return
        self._wait()

    def _fire_timers(self) -> None:
        timers = self._timers
        while timers and (timers[0][0] <= self.clock or timers[0][2]._cancelled):
            handle = heapq.heappop(timers)[2]
            if not handle._cancelled:
                self._ready.append(handle)

    def _wait(self) -> None:
        """Let time pass until something can happen."""
        times = [turn.time() for turn in self._waiting]
        if self._timers:
            times.append(self._timers[0][0])
        if not times:
            raise Stuck("everybody waits, and nothing can happen any more")
        self.clock = max(self.clock, min(times))


def own(task: asyncio.Task[Any], owner: Owner) -> None:
    """Say whose task it is, and that of all tasks it starts."""
    task.owner = owner  # type: ignore[attr-defined]
    owner.tasks.add(task)
    task.add_done_callback(owner.tasks.discard)
