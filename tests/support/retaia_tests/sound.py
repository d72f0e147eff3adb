"""Sound files made for tests: WAV written chunk by chunk, everything else through PyAV's encoders."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
"""One row for each channel, 1.0 is full scale."""


def tone(
    seconds: float, *, rate: int = 48_000, channels: int = 2, level: float = 0.5, hertz: float = 440
) -> Samples:
    """A sine, the same in all channels."""
    times = np.arange(round(seconds * rate)) / rate
    return np.tile(level * np.sin(2 * np.pi * hertz * times), (channels, 1))


def silence(seconds: float, *, rate: int = 48_000, channels: int = 2) -> Samples:
    """Nothing to be heard."""
    return np.zeros((channels, round(seconds * rate)))


def pcm(samples: Samples, sample_format: str) -> bytes:
    """Interleave samples as ``u8``, ``s16``, ``s24``, ``s32``, ``f32`` or ``f64``, little-endian."""
    flat = samples.T.reshape(-1)
    if sample_format == "u8":
        return (np.clip(flat * 128 + 128, 0, 255)).astype(np.uint8).tobytes()
    if sample_format.startswith("f"):
        return flat.astype(f"<f{int(sample_format[1:]) // 8}").tobytes()
    bits = int(sample_format[1:])
    full = 1 << (bits - 1)
    whole = np.clip(np.round(flat * full), -full, full - 1).astype("<i8")
    if bits == 24:
        return whole.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return whole.astype(f"<i{bits // 8}").tobytes()


def chunk(name: bytes, body: bytes) -> bytes:
    """A RIFF chunk with its padding."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def wav_bytes(
    samples: Samples,
    *,
    rate: int = 48_000,
    sample_format: str = "s16",
    before: Iterable[bytes] = (),
    after: Iterable[bytes] = (),
    data_size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    """A WAV file; the sizes in its header can be made to lie, ``before`` and ``after`` hold chunks."""
    channels = len(samples)
    bits = int(sample_format[1:])
    block = channels * bits // 8
    tag = 3 if sample_format.startswith("f") else 1
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    body = pcm(samples, sample_format)
    stated = len(body) if data_size is None else data_size
    data = b"data" + struct.pack("<I", stated) + body + b"\0" * (len(body) % 2)
    content = b"WAVE" + chunk(b"fmt ", fmt) + b"".join(before) + data + b"".join(after)
    size = len(content) if riff_size is None else riff_size
    return b"RIFF" + struct.pack("<I", size) + content


def write_wav(path: Path, samples: Samples, **options: Any) -> Path:
    """Write `wav_bytes` to a file."""
    path.write_bytes(wav_bytes(samples, **options))
    return path


def bext(
    *,
    originator: str = "",
    date: str = "",
    time: str = "",
    time_reference: int = 0,
    description: str = "",
) -> bytes:
    """A broadcast extension chunk."""
    fields = (
        description.encode().ljust(256, b"\0"),
        originator.encode().ljust(32, b"\0"),
        bytes(32),
        date.encode().ljust(10, b"\0"),
        time.encode().ljust(8, b"\0"),
        struct.pack("<Q", time_reference),
        bytes(256),
    )
    return chunk(b"bext", b"".join(fields))


def ixml(**fields: str) -> bytes:
    """An iXML chunk with fields of its SPEED section."""
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?><BWFXML><SPEED>{inside}</SPEED></BWFXML>'
    return chunk(b"iXML", text.encode())


def encode(
    path: Path,
    samples: Samples,
    *,
    codec: str,
    container: str,
    rate: int = 48_000,
    layout: str | None = None,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    cover: bytes | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    """Encode samples; ``muxing`` are options of the container, ``cover`` a JPEG to attach."""
    with av.open(str(path), "w", format=container, options=muxing or {}) as output:
        stream: Any = output.add_stream(codec, rate=rate, options=options or {})
        stream.layout = layout or {1: "mono", 2: "stereo"}[len(samples)]
        if bit_rate:
            stream.bit_rate = bit_rate
        output.metadata.update(tags or {})
        picture = _add_cover(output, cover) if cover else None
        if picture is not None:
            output.mux(picture)
        for frame in frames(samples, rate=rate, layout=stream.layout.name):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _add_cover(output: Any, cover: bytes) -> Any:
    stream = output.add_stream("mjpeg")
    stream.width = stream.height = 16
    stream.pix_fmt = "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    packet = av.Packet(cover)
    packet.stream = stream
    packet.pts = packet.dts = 0
    packet.time_base = Fraction(1, 90_000)
    return packet


def frames(
    samples: Samples,
    *,
    rate: int = 48_000,
    layout: str = "stereo",
    sizes: Sequence[int] = (1024,),
    start: int | None = 0,
    sample_format: str = "fltp",
) -> Iterable[av.AudioFrame]:
    """Cut samples into frames of the sizes given, in turn; ``start`` is the first timestamp."""
    at, turn = 0, 0
    while at < samples.shape[1]:
        size = sizes[turn % len(sizes)]
        yield frame(samples[:, at : at + size], rate, layout, sample_format, at, start)
        at, turn = at + size, turn + 1


def frame(
    part: Samples, rate: int, layout: str, sample_format: str, at: int, start: int | None
) -> av.AudioFrame:
    """One frame of any sample format."""
    made = av.AudioFrame.from_ndarray(
        native(part, sample_format), format=sample_format, layout=layout
    )
    made.sample_rate = rate
    made.time_base = Fraction(1, rate)
    made.pts = None if start is None else start + at
    return made


def native(part: Samples, sample_format: str) -> npt.NDArray[Any]:
    """Samples as an array that a frame of this format takes."""
    packed = sample_format.removesuffix("p")
    if packed in {"flt", "dbl"}:
        values = part.astype({"flt": np.float32, "dbl": np.float64}[packed])
    elif packed == "u8":
        values = np.clip(np.round(part * 128 + 128), 0, 255).astype(np.uint8)
    else:
        full = 1 << (int(packed[1:]) - 1)
        whole = np.clip(np.round(part * full), -full, full - 1)
        values = whole.astype({"s16": np.int16, "s32": np.int32}[packed])
    if sample_format.endswith("p"):
        return np.ascontiguousarray(values)
    return np.ascontiguousarray(values.T.reshape(1, -1))
