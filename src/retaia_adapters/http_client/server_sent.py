"""Server-sent events, line by line (HTML standard, *Server-sent events*)."""

from __future__ import annotations

from attrs import define, field, frozen


@frozen(kw_only=True)
class ServerSent:
    """One event as it was sent: ``name`` is ``message`` where the server gave none."""

    name: str
    data: str
    id: str


@define
class EventParser:
    r"""Takes the lines of a stream and gives its events.

    ``last_id`` is that of the newest whole event; ``retry_s`` what the server asks to wait before connecting
    again.

    >>> parser = EventParser()
    >>> lines = ["id: 7", "event: asset", "data: one", "data: two", ": a comment", ""]
    >>> [event for line in lines if (event := parser.feed(line))]
    [ServerSent(name='asset', data='one\ntwo', id='7')]
    """

    last_id: str = ""
    retry_s: float = 0.0
    _id: str = field(default="", init=False)
    _name: str = field(default="", init=False)
    _data: list[str] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.cut()

    def feed(self, line: str) -> ServerSent | None:
        """Take a line; the event that it completes, if it does."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isdecimal():
            self.retry_s = int(value) / 1000
        return None

    def _complete(self) -> ServerSent | None:
        name, data = self._name or "message", self._data
        self.last_id = self._id
        self.cut()
        if not data:
            return None
        return ServerSent(name=name, data="\n".join(data), id=self.last_id)

    def cut(self) -> None:
        """Forget what is not whole: half an event is none."""
        self._id, self._name, self._data = self.last_id, "", []
