"""From a decoded frame to the picture that a person should see (domain.md, *Derived files*).

Pixels made square, rotation applied, fields woven away, wide colours and high dynamic range brought to
what every browser shows: bt709, limited or full range as the output needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, cast

import av.error
from attrs import evolve, frozen
from av.filter import Graph
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import PictureType, VideoFrame

if TYPE_CHECKING:
    from av.filter.context import FilterContext
    from av.sidedata.sidedata import SideDataContainer

# Values of ITU-T H.273, as frames carry them.
BT709 = 1
UNSPECIFIED = 2
BT2020 = 9
PQ, HLG = 16, 18
RGB_MATRIX = 0
_RGB_PREFIXES = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal")

Filter = tuple[str, str]
_ANY_CLOCK = Fraction(1, 90_000)
# A still has no neighbours, without which a deinterlacer takes combs for detail.
_ONE_FIELD: Filter = ("field", "type=top")
_BOTH_FIELDS: Filter = ("bwdif", "mode=send_frame:deint=interlaced")
_BT709_RGB: Filter = ("setparams", "color_primaries=bt709:color_trc=bt709:colorspace=gbr")


@frozen(kw_only=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def turned(self, *, quarter: bool) -> Size:
        """Exchange width and height where the picture is turned by a quarter."""
        return Size(width=self.height, height=self.width) if quarter else self


@frozen(kw_only=True)
class Output:
    """What pictures are to become; ``still`` says that each stands alone."""

    size: Size
    pixel_format: str
    still: bool = False


@frozen(kw_only=True)
class Turn:
    """How a stored picture is to be turned: mirrored first where ``mirrored``, then by quarters clockwise."""

    quarters: int = 0
    mirrored: bool = False

    @property
    def sideways(self) -> bool:
        """Whether width and height change places."""
        return self.quarters % 2 == 1


@frozen(kw_only=True)
class Picture:
    """What is known of a decoded frame, as far as it decides how to show it."""

    size: Size
    pixel_format: str
    turn: Turn
    matrix: int
    transfer: int
    primaries: int
    interlaced: bool

    @property
    def rgb(self) -> bool:
        """Whether its planes are red, green and blue (or a palette of them)."""
        return self.pixel_format.startswith(_RGB_PREFIXES)


def turn_of_matrix(matrix: tuple[int, ...]) -> Turn:
    """Read a display matrix (nine numbers, row by row) as quarters of a turn.

    Angles between the quarters, which no recorder writes, are taken as the nearest quarter.

    >>> turn_of_matrix((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    Turn(quarters=1, mirrored=False)
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    mirrored = a * d - b * c < 0
    if mirrored:
        # A mirroring from left to right comes first; what is left is a pure turn.
        a, b = -a, -b
    if abs(a) >= abs(b):
        return Turn(quarters=0 if a >= 0 else 2, mirrored=mirrored)
    return Turn(quarters=1 if b > 0 else 3, mirrored=mirrored)


def turn_of(frame: VideoFrame) -> Turn:
    """Read how a frame is turned from the matrix that the container gave it."""
    sides = cast("SideDataContainer", frame.side_data)
    side = sides.get(SideDataType.DISPLAYMATRIX)
    if not isinstance(side, SideData) or side.buffer_size < 36:
        return Turn()
    return turn_of_matrix(tuple(memoryview(bytes(side)).cast("i")[:9]))


def picture_of(frame: VideoFrame, turn: Turn | None = None) -> Picture:
    """Describe a decoded frame."""
    return Picture(
        size=Size(width=frame.width, height=frame.height),
        pixel_format=frame.format.name,
        turn=turn_of(frame) if turn is None else turn,
        matrix=frame.colorspace,
        transfer=frame.color_trc,
        primaries=frame.color_primaries,
        interlaced=frame.interlaced_frame,
    )


def display_size(stored: Size, aspect: Fraction, turn: Turn) -> Size:
    """The size of the upright picture with square pixels: lines are kept, the width follows the aspect.

    >>> display_size(Size(width=720, height=576), Fraction(64, 45), Turn())
    Size(width=1024, height=576)
    """
    width = max(1, round(stored.width * aspect)) if aspect > 0 else stored.width
    return Size(width=width, height=stored.height).turned(quarter=turn.sideways)


def fit(display: Size, *, long_side: int, short_side: int) -> Size:
    """Fit a picture into a box that turns with it; never larger, aspect kept, both sides even.

    >>> fit(Size(width=1080, height=1920), long_side=1280, short_side=720)
    Size(width=720, height=1280)
    >>> fit(Size(width=641, height=361), long_side=1280, short_side=720)
    Size(width=640, height=360)
    """
    longest = max(display.width, display.height)
    shortest = min(display.width, display.height)
    scale = min(Fraction(1), Fraction(long_side, longest), Fraction(short_side, shortest))
    return Size(width=_even(display.width * scale), height=_even(display.height * scale))


def _even(side: Fraction) -> int:
    return max(
        2, int(side / 2 + Fraction(1, 4)) * 2 if side.denominator > 1 else int(side) // 2 * 2
    )


def at_width(display: Size, width: int) -> Size:
    """Shrink a picture to a width; a narrower one stays as it is.

    >>> at_width(Size(width=1920, height=1080), 480)
    Size(width=480, height=270)
    """
    if display.width <= width:
        return display
    return Size(width=width, height=max(1, round(Fraction(display.height * width, display.width))))


def filter_chain(picture: Picture, output: Output, tone: str = "") -> tuple[Filter, ...]:
    """The filters from a picture to an upright one, in order.

    ``tone`` is the table file for a picture that `needs_tone`; it comes after the shrinking, where
    there are fewer pixels.
    """
    size, pixel_format = output.size, output.pixel_format
    chain: list[Filter] = []
    if picture.interlaced:
        chain.append(_ONE_FIELD if output.still else _BOTH_FIELDS)
    before = size.turned(quarter=picture.turn.sideways)
    scaled = f"w={before.width}:h={before.height}:flags=bicubic{_matrix(picture)}"
    if needs_tone(picture):
        chain += [("scale", scaled), ("format", "gbrp10"), ("lut3d", f"file={tone}"), _BT709_RGB]
        scaled = "w=iw:h=ih"
    chain += [("scale", f"{scaled}{_target(pixel_format)}"), ("format", pixel_format)]
    chain.extend(_turning(picture.turn))
    return tuple(chain)


def needs_tone(picture: Picture) -> bool:
    """Whether its colours are wider or brighter than bt709 has them."""
    return picture.transfer in {PQ, HLG} or picture.primaries == BT2020


def _matrix(picture: Picture) -> str:
    if picture.rgb or picture.matrix != UNSPECIFIED:
        return ""
    if needs_tone(picture):
        return ":in_color_matrix=bt2020"
    # A file that does not say: television's custom, which every player follows too.
    return f":in_color_matrix={'bt709' if picture.size.height >= 720 else 'bt601'}"


def _target(pixel_format: str) -> str:
    if pixel_format.startswith("rgb"):
        return ""
    return ":out_color_matrix=bt709:out_range=tv"


def _turning(turn: Turn) -> Iterator[Filter]:
    if turn.mirrored:
        yield ("hflip", "")
    if turn.quarters == 1:
        yield ("transpose", "dir=clock")
    elif turn.quarters == 2:
        yield ("hflip", "")
        yield ("vflip", "")
    elif turn.quarters == 3:
        yield ("transpose", "dir=cclock")


class PictureFilter:
    """Turns decoded frames into upright pictures of one kind.

    The filter graph follows the frames: it is made again where their size, format or colours change in
    the middle of a stream. ``turn`` overrides what each frame says.
    """

    def __init__(self, output: Output, turn: Turn | None = None) -> None:
        self._output = output
        self._turn = turn
        self._picture: Picture | None = None
        self._graph: Graph | None = None

    def feed(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Take a frame; yield the pictures that are ready."""
        picture = picture_of(frame, self._turn)
        graph = self._graph
        if graph is None or not self._serves(picture):
            yield from self.finish()
            self._picture = picture
            graph = self._graph = _graph_of(picture, frame, self._output)
        graph.vpush(frame)
        yield from _pull(graph)

    def finish(self) -> Iterator[VideoFrame]:
        """Yield the pictures that the filters still hold."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from _pull(self._graph)
        self._graph = None

    def _serves(self, picture: Picture) -> bool:
        """Whether the graph at hand fits; a deinterlacer passes whole frames through."""
        held = self._picture
        if held == picture:
            return True
        return held == evolve(picture, interlaced=True) and not self._output.still


def _graph_of(picture: Picture, frame: VideoFrame, output: Output) -> Graph:
    graph = Graph()
    last: FilterContext = graph.add_buffer(
        width=picture.size.width,
        height=picture.size.height,
        format=frame.format,
        # A frame drained from a decoder has no clock, and a still needs none.
        time_base=frame.time_base or _ANY_CLOCK,
    )
    with _tone_file(picture) as tone:
        for name, arguments in filter_chain(picture, output, tone):
            last = _after(graph, last, name, arguments)
    _after(graph, last, "buffersink", "")
    graph.configure()
    return graph


def _after(graph: Graph, last: FilterContext, name: str, arguments: str) -> FilterContext:
    added = graph.add(name, arguments or None)
    last.link_to(added)
    return added


@contextmanager
def _tone_file(picture: Picture) -> Iterator[str]:
    """The table of colours as a file, for as long as the filter needs to read it."""
    if not needs_tone(picture):
        yield ""
        return
    # numpy, which the table is reckoned with, is loaded for those pictures only.
    from .tone import cube

    with NamedTemporaryFile("w", suffix=".cube") as file:
        file.write(cube(picture.transfer))
        file.flush()
        yield file.name


def _pull(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            picture = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        # The encoder must choose key frames itself, not repeat the source's.
        picture.pict_type = PictureType.NONE
        yield picture
