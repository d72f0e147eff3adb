"""An HTTP client that costs next to nothing beside a server: kept sockets, answers with a length."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Generator, Iterable, Iterator
from urllib.parse import urlsplit

from attrs import define, field

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)

Operation = Generator[bytes, bytes, None]
"""Yields requests, and is sent the answer of each."""


@define
class Line:
    """A kept connection on which one operation runs after the other."""

    socket: socket.socket
    operation: Operation
    began: float
    got: bytearray = field(factory=bytearray)

    def take(self) -> bytes | None:
        """The answer's content, once all of it is there."""
        self.got += self.socket.recv(1 << 20)
        end = self.got.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, start = self.got[:end], end + 4
        length = LENGTH.search(head)
        assert length is not None, head
        if len(self.got) < start + int(length[1]):
            return None
        content, self.got = bytes(self.got[start:]), bytearray()
        assert head[9:12].startswith(b"20"), (head, content)
        return content


@define
class Client:
    """Kept connections to one server."""

    sockets: list[socket.socket]

    @classmethod
    def to(cls, url: str, connections: int) -> Client:
        """Connect."""
        where = urlsplit(url)
        made = [socket.create_connection((where.hostname, where.port)) for _ in range(connections)]
        for one in made:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(made)

    def run(self, operations: Iterable[Operation]) -> tuple[float, list[float]]:
        """Run operations, as many at a time as there are connections; seconds of all, and of each."""
        waiting, taken = iter(operations), list[float]()
        began = time.perf_counter()
        with selectors.DefaultSelector() as selector:
            for one, operation in zip(self.sockets, waiting, strict=False):
                line = Line(one, operation, time.perf_counter())
                selector.register(one, selectors.EVENT_READ, line)
                one.sendall(next(operation))
            while selector.get_map():
                for key, _ in selector.select():
                    self._go_on(selector, key.data, waiting, taken)
        return time.perf_counter() - began, taken

    def _go_on(
        self,
        selector: selectors.BaseSelector,
        line: Line,
        waiting: Iterator[Operation],
        taken: list[float],
    ) -> None:
        content = line.take()
        if content is None:
            return
        request = next_of(line.operation, content)
        if request is None:
            now = time.perf_counter()
            taken.append(now - line.began)
            following = next(waiting, None)
            if following is None:
                selector.unregister(line.socket)
                return
            line.operation, line.began, request = following, now, next(following)
        line.socket.sendall(request)


def next_of(operation: Operation, content: bytes) -> bytes | None:
    """The next request of an operation; None at its end."""
    try:
        return operation.send(content)
    except StopIteration:
        return None


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """A request, ready to be sent."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
