"""One implementation, called with ``await`` or without.

A resource is written once, with coroutines. Its methods are bound here: on a resource of a `Client` they
are what was written, on one of a `SyncClient` they run in the event loop behind its portal and return when
they are done. The types say the same: ``Resource[Async]`` has coroutines, ``Resource[Sync]`` has not.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from anyio.from_thread import BlockingPortal

from .engine import Engine

P = ParamSpec("P")
T = TypeVar("T")


class Async:
    """Methods are awaited."""


class Sync:
    """Methods block."""


M = TypeVar("M", Async, Sync)
_END = object()


class Resource(Generic[M]):
    """A group of operations. With a portal, they are called from outside of the event loop."""

    def __init__(self, engine: Engine, portal: BlockingPortal | None = None) -> None:
        self._engine = engine
        self._portal = portal

    def _inside(self) -> Resource[Async]:
        """The same resource as it is inside the event loop."""
        return type(self)(self._engine)  # type: ignore[return-value]

    def _key(self, given: str | None) -> str:
        return given or self._engine.new_key()


class operation(Generic[P, T]):  # noqa: N801 - a decorator
    """A method that is a coroutine, or blocks on a resource of a `SyncClient`."""

    def __init__(self, work: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self.__doc__ = work.__doc__

    @overload
    def __get__(
        self, resource: Resource[Async], owner: type
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, resource: Resource[Sync], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: None, owner: type) -> Callable[..., Any]: ...
    def __get__(self, resource: Resource[Any] | None, owner: type) -> Callable[..., Any]:
        """Bind to a resource."""
        if resource is None:
            return self._work
        portal = resource._portal
        if portal is None:
            return functools.partial(self._work, resource)
        inside = resource._inside()

        @functools.wraps(self._work)
        def blocking(*args: P.args, **kwargs: P.kwargs) -> T:
            call: Callable[[], Coroutine[Any, Any, T]] = functools.partial(
                self._work, inside, *args, **kwargs
            )
            done: T = portal.call(call)
            return done

        return blocking


class series(Generic[P, T]):  # noqa: N801 - a decorator
    """A method that is an asynchronous generator, or a plain one on a resource of a `SyncClient`."""

    def __init__(self, work: Callable[Concatenate[Any, P], AsyncGenerator[T, None]]) -> None:
        self._work = work
        self.__doc__ = work.__doc__

    @overload
    def __get__(
        self, resource: Resource[Async], owner: type
    ) -> Callable[P, AsyncGenerator[T, None]]: ...
    @overload
    def __get__(
        self, resource: Resource[Sync], owner: type
    ) -> Callable[P, Generator[T, None, None]]: ...
    @overload
    def __get__(self, resource: None, owner: type) -> Callable[..., Any]: ...
    def __get__(self, resource: Resource[Any] | None, owner: type) -> Callable[..., Any]:
        """Bind to a resource."""
        if resource is None:
            return self._work
        portal = resource._portal
        if portal is None:
            return functools.partial(self._work, resource)
        inside = resource._inside()

        @functools.wraps(self._work)
        def blocking(*args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
            return _walk(portal, self._work(inside, *args, **kwargs))

        return blocking


def _walk(portal: BlockingPortal, items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    async def following() -> Any:
        return await anext(items, _END)

    try:
        while (item := portal.call(following)) is not _END:
            yield item
    finally:
        with suppress(RuntimeError):  # the client was closed first, and its loop ended the series
            portal.call(items.aclose)
