"""Colours: every source ends in sRGB, by numbers that were computed from the standards."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms
from retaia_tests import photos

from retaia_adapters.media.photo_color import (
    ADOBE_RGB,
    BT2020,
    DISPLAY_P3,
    SRGB,
    Primaries,
    colorants,
    gamma_curve,
    hlg_curve,
    matrix_profile,
    pq_curve,
    srgb_curve,
    srgb_profile,
)
from retaia_adapters.media.photo_pixels import BACKGROUND

Color = tuple[int, ...]

# Linear RGB to linear sRGB, all under D65, as published (rounded to four digits).
P3_TO_SRGB = ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979))
ADOBE_TO_SRGB = ((1.3984, -0.3984, 0.0), (0.0, 1.0, 0.0), (0.0, -0.0429, 1.0429))
XYZ_D65_TO_SRGB = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))
D50_TO_D65 = ((0.9556, -0.0230, 0.0632), (-0.0283, 1.0099, 0.0210), (0.0123, -0.0205, 1.3299))


def _encode(linear: np.ndarray) -> Color:
    clipped = np.clip(linear, 0, 1)
    shaped = np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return tuple(round(float(value) * 255) for value in shaped)


def _decode(color: Color) -> np.ndarray:
    value = np.array(color) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _lab_to_srgb(light: float, a: float, b: float) -> Color:
    fy = (light + 16) / 116
    f = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, (f - 16 / 116) / 7.787) * (0.9642, 1.0, 0.8249)
    return _encode(np.array(XYZ_D65_TO_SRGB) @ (np.array(D50_TO_D65) @ xyz))


def _middle(path: Path) -> Color:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return image.getpixel((image.width // 2, image.height // 2))  # type: ignore[return-value]


def _flat(mode: str, color: Color | int) -> Image.Image:
    return Image.new(mode, (64, 64), color)


class TestRgbProfiles:
    """A wide-gamut picture looks the same after conversion, and is not just relabelled."""

    @pytest.mark.parametrize(
        "color", [(180, 120, 90), (90, 160, 120), (60, 70, 170), (128, 128, 128)]
    )
    def test_display_p3(self, color: Color, tmp_path: Path) -> None:
        """Display P3 by an embedded profile."""
        icc = matrix_profile(DISPLAY_P3, srgb_curve, "Display P3")
        _flat("RGB", color).save(tmp_path / "a.png", icc_profile=icc)
        result = photos.process(tmp_path / "a.png", tmp_path / "out")
        expected = _encode(np.array(P3_TO_SRGB) @ _decode(color))
        assert photos.near(_middle(result.proxy), expected, 2)
        assert photos.near(_middle(result.thumb), expected, 2)
        assert result.facts["color_space"] == "Display P3"
        assert result.warnings == ""

    @pytest.mark.parametrize("color", [(150, 120, 90), (140, 170, 120), (90, 90, 170)])
    @pytest.mark.parametrize("way", ["profile", "exif", "interop"])
    def test_adobe_rgb(self, color: Color, way: str, tmp_path: Path) -> None:
        """Adobe RGB by its profile, by EXIF's colour space, and by DCF's interoperability index."""
        options: dict[str, object] = {
            "profile": {
                "icc_profile": matrix_profile(ADOBE_RGB, gamma_curve(563 / 256), "Adobe RGB (1998)")
            },
            "exif": {"exif": photos.exif_block({}, {0xA001: 2})},
            "interop": {"exif": _interop("R03")},
        }[way]
        (tmp_path / "a.jpg").write_bytes(photos.jpeg(_flat("RGB", color), quality=100, **options))
        result = photos.process(tmp_path / "a.jpg", tmp_path / "out")
        linear = (np.array(color) / 255) ** (563 / 256)
        assert photos.near(_middle(result.proxy), _encode(np.array(ADOBE_TO_SRGB) @ linear), 3)
        assert result.facts["color_space"] == "Adobe RGB (1998)"

    def test_srgb_stays(self, tmp_path: Path) -> None:
        """A picture that is sRGB, by profile or by silence, keeps its colours."""
        for name, options in (("a", {}), ("b", {"icc_profile": srgb_profile()})):
            path = tmp_path / f"{name}.png"
            _flat("RGB", (200, 100, 50)).save(path, **options)
            result = photos.process(path, tmp_path / name)
            assert photos.near(_middle(result.proxy), (200, 100, 50), 1)

    def test_broken_profile(self, tmp_path: Path) -> None:
        """A profile that cannot be used is named, and the picture comes through."""
        _flat("RGB", (200, 100, 50)).save(tmp_path / "a.png", icc_profile=b"no profile at all")
        result = photos.process(tmp_path / "a.png", tmp_path / "out")
        assert photos.near(_middle(result.proxy), (200, 100, 50), 1)
        assert "the colour profile cannot be used" in result.warnings

    def test_profile_of_another_space(self, tmp_path: Path) -> None:
        """A CMYK profile on an RGB picture is refused with a warning."""
        icc = photos.cmyk_profile(dict.fromkeys(_INKS, (50.0, 0.0, 0.0)))
        _flat("RGB", (200, 100, 50)).save(tmp_path / "a.png", icc_profile=icc)
        result = photos.process(tmp_path / "a.png", tmp_path / "out")
        assert photos.near(_middle(result.proxy), (200, 100, 50), 1)
        assert "a CMYK profile on a RGB picture" in result.warnings


def _interop(index: str) -> bytes:
    builder = photos.TiffBuilder()
    interop = builder.directory({1: index})
    exif = builder.directory({0xA001: 65535, 0xA005: interop})
    return b"Exif\0\0" + builder.finish(builder.directory({0x8769: exif}))


_INKS = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]


class TestCmyk:
    """CMYK is converted through its profile, or approximately and with a word about it."""

    CYAN, MAGENTA = (55.0, -37.0, -50.0), (48.0, 74.0, -3.0)

    def _profile(self) -> bytes:
        lab = {inks: (0.0, 0.0, 0.0) if inks[3] else (40.0, 0.0, 0.0) for inks in _INKS}
        lab |= {
            (0, 0, 0, 0): (100.0, 0.0, 0.0),
            (1, 0, 0, 0): self.CYAN,
            (0, 1, 0, 0): self.MAGENTA,
        }
        return photos.cmyk_profile(lab)

    @pytest.mark.parametrize("extension", ["jpg", "tif"])
    @pytest.mark.parametrize(
        ("inks", "lab"),
        [
            ((0, 0, 0, 0), (100.0, 0.0, 0.0)),
            ((0, 0, 0, 255), (0.0, 0.0, 0.0)),
            ((255, 0, 0, 0), CYAN),
            ((0, 255, 0, 0), MAGENTA),
        ],
    )
    def test_with_profile(
        self, extension: str, inks: Color, lab: tuple[float, float, float], tmp_path: Path
    ) -> None:
        """Inks become the colours that the press would print (Adobe's inverted JPEG included)."""
        source = tmp_path / f"a.{extension}"
        _flat("CMYK", inks).save(source, icc_profile=self._profile())
        result = photos.process(source, tmp_path / "out")
        assert photos.near(_middle(result.proxy), _lab_to_srgb(*lab), 4)
        assert result.facts["pixel_format"] == "cmyk"
        assert result.facts["color_space"] == "Test press"

    def test_without_profile(self, tmp_path: Path) -> None:
        """White paper is white, black ink is black, and the colours are called approximate."""
        for inks, expected in (((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0)):
            source = tmp_path / f"{expected}.jpg"
            source.write_bytes(photos.jpeg(_flat("CMYK", inks)))
            result = photos.process(source, tmp_path / str(expected))
            assert photos.near(_middle(result.proxy), (expected,) * 3, 1)
            assert "CMYK without a colour profile" in result.warnings
            assert result.facts["color_space"] == "CMYK"


class TestGreyAndDepth:
    """Greyscale, palettes, one bit, sixteen bits and floats."""

    def test_grey(self, tmp_path: Path) -> None:
        """Greyscale stays neutral, also under an RGB profile."""
        for name, options in (("a", {}), ("b", {"icc_profile": srgb_profile()})):
            path = tmp_path / f"{name}.jpg"
            path.write_bytes(photos.jpeg(_flat("L", 90), **options))
            result = photos.process(path, tmp_path / name)
            assert photos.near(_middle(result.proxy), (90, 90, 90), 1)
            assert result.facts["pixel_format"] == "gray"

    def test_bilevel(self, tmp_path: Path) -> None:
        """One-bit scans become black and white, with smooth edges when scaled."""
        image = Image.new("1", (3000, 1200), 1)
        image.paste(0, (0, 0, 1500, 1200))
        image.save(tmp_path / "a.tif", compression="group4")
        result = photos.process(tmp_path / "a.tif", tmp_path / "out")
        with Image.open(result.thumb) as made:
            assert photos.near(made.getpixel((10, 50)), (0, 0, 0), 3)
            assert photos.near(made.getpixel((470, 50)), (255, 255, 255), 3)
        assert result.facts["bits_per_sample"] == 1

    def test_palette(self, tmp_path: Path) -> None:
        """A palette picture shows its colours."""
        photos.corners(64, 64).quantize(4).save(tmp_path / "a.png")
        result = photos.process(tmp_path / "a.png", tmp_path / "out")
        with Image.open(result.proxy) as made:
            assert photos.near(photos.corner_colors(made)[0], photos.RED, 8)
        assert result.facts["pixel_format"] == "pal"

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "big.tif"])
    def test_sixteen_bit_grey(self, name: str, tmp_path: Path) -> None:
        """Sixteen bits keep their brightness: 0x8000 is the middle, and is not cut off at 255."""
        mode = "I;16B" if name == "big.tif" else "I;16"
        Image.frombytes(mode, (64, 64), (b"\x80\x00" if "B" in mode else b"\x00\x80") * 4096).save(
            tmp_path / name
        )
        result = photos.process(tmp_path / name, tmp_path / "out")
        assert photos.near(_middle(result.proxy), (128, 128, 128), 1)
        assert result.facts["bits_per_sample"] == 16
        assert result.facts["pixel_format"] == "gray"

    def test_white_is_zero(self, tmp_path: Path) -> None:
        """A sixteen-bit TIFF whose zero is white is not shown as a negative."""
        builder = photos.TiffBuilder()
        strip = builder.blob(b"\x00\x40" * 4096)
        tags = {
            0x100: 64,
            0x101: 64,
            0x102: 16,
            0x103: 1,
            0x106: 0,
            0x111: strip,
            0x115: 1,
            0x116: 64,
            0x117: 8192,
        }
        (tmp_path / "a.tif").write_bytes(builder.finish(builder.directory(tags)))
        result = photos.process(tmp_path / "a.tif", tmp_path / "out")
        assert photos.near(_middle(result.proxy), (191, 191, 191), 1)

    @pytest.mark.parametrize("extension", ["png", "tif"])
    def test_sixteen_bit_color(self, extension: str, tmp_path: Path) -> None:
        """Sixteen bits a channel are brought down to eight."""
        content = _deep_png() if extension == "png" else _deep_tiff()
        (tmp_path / f"a.{extension}").write_bytes(content)
        result = photos.process(tmp_path / f"a.{extension}", tmp_path / "out")
        assert photos.near(_middle(result.proxy), (200, 100, 50), 2)
        assert result.facts["bits_per_sample"] == 16

    def test_float(self, tmp_path: Path) -> None:
        """Floats from 0 to 1 are taken as they are; others are stretched, with a warning."""
        usual = np.full((64, 64), 0.5, dtype=np.float32)
        wide = np.linspace(-500, 1500, 4096, dtype=np.float32).reshape(64, 64)
        wide[0, 0] = np.nan
        for name, values in (("usual", usual), ("wide", wide)):
            Image.fromarray(values).save(tmp_path / f"{name}.tif")
        plain = photos.process(tmp_path / "usual.tif", tmp_path / "usual")
        assert photos.near(_middle(plain.proxy), (128, 128, 128), 1)
        assert plain.warnings == ""
        stretched = photos.process(tmp_path / "wide.tif", tmp_path / "wide")
        with Image.open(stretched.proxy) as made:
            assert photos.near(made.getpixel((32, 63)), (255, 255, 255), 6)
            assert photos.near(made.getpixel((32, 0)), (0, 0, 0), 6)
        assert "defines no range of brightness" in stretched.warnings

    def test_lab(self, tmp_path: Path) -> None:
        """CIELAB becomes the sRGB colour of those numbers."""
        encoded = (140, 40, 236)  # L 54.9, a 40, b -20 in the signed bytes of a TIFF
        builder = photos.TiffBuilder()
        strip = builder.blob(bytes(encoded) * 4096)
        tags = {
            0x100: 64, 0x101: 64, 0x102: (8, 8, 8), 0x103: 1, 0x106: 8, 0x111: strip, 0x115: 3,
            0x116: 64, 0x117: 12288,
        }  # fmt: skip
        (tmp_path / "a.tif").write_bytes(builder.finish(builder.directory(tags)))
        result = photos.process(tmp_path / "a.tif", tmp_path / "out")
        assert photos.near(_middle(result.proxy), _lab_to_srgb(140 / 2.55, 40, -20), 4)
        assert result.facts["color_space"] == "CIELAB"


def _deep_tiff() -> bytes:
    builder = photos.TiffBuilder()
    pixel = b"".join((value * 257).to_bytes(2, "little") for value in (200, 100, 50))
    strip = builder.blob(pixel * 4096)
    tags: dict[int, photos.Value] = {
        0x100: 64, 0x101: 64, 0x102: (16, 16, 16), 0x103: 1, 0x106: 2, 0x111: strip, 0x115: 3,
        0x116: 64, 0x117: 24576,
    }  # fmt: skip
    return builder.finish(builder.directory(tags))


def _deep_png() -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    row = b"\0" + b"".join((value * 257).to_bytes(2, "big") for value in (200, 100, 50)) * 64
    header = struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * 64))
        + chunk(b"IEND", b"")
    )


class TestTransparency:
    """Transparent parts show the neutral background, and their hidden colours do not bleed."""

    @pytest.mark.parametrize("extension", ["png", "webp", "avif", "tif"])
    def test_transparent(self, extension: str, tmp_path: Path) -> None:
        """Opaque, half and fully transparent parts."""
        image = Image.new("RGBA", (1200, 600), (255, 0, 0, 0))
        image.paste((0, 0, 200, 255), (400, 0, 800, 600))
        image.paste((0, 0, 0, 128), (800, 0, 1200, 600))
        options = {"lossless": True} if extension == "webp" else {}
        image.save(tmp_path / f"a.{extension}", **options)
        result = photos.process(tmp_path / f"a.{extension}", tmp_path / "out")
        with Image.open(result.thumb) as made:
            assert photos.near(made.getpixel((80, 120)), BACKGROUND, 3)
            assert photos.near(made.getpixel((240, 120)), (0, 0, 200), 6)
            assert photos.near(made.getpixel((400, 120)), (108, 108, 108), 4)

    def test_transparent_color(self, tmp_path: Path) -> None:
        """PNG's single transparent colour, in RGB, grey and palette pictures."""
        for name, mode, key in (("rgb", "RGB", (0, 255, 0)), ("grey", "L", 7), ("pal", "P", 3)):
            path = tmp_path / f"{name}.png"
            image = _flat(mode, key)
            if mode == "P":
                image.putpalette([0, 0, 0] * 3 + [0, 255, 0])
            image.save(path, transparency=key)
            assert photos.near(_middle(photos.process(path, tmp_path / name).proxy), BACKGROUND, 2)


def _coded(folder: Path, extension: str, *, primaries: int, transfer: int) -> Path:
    """A file whose colours are stated by the numbers given, put in where the encoder wrote its own."""
    pillow_heif.register_heif_opener()
    source = folder / f"a.{extension}"
    _flat("RGB", (180, 120, 90)).save(source, quality=95)
    content = bytearray(source.read_bytes())
    at = content.index(b"colrnclx") + 8
    content[at : at + 4] = primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big")
    source.write_bytes(content)
    return source


class TestPngAndCodedColor:
    """Colours that are stated as numbers: PNG's gamma, and the coded colours of AVIF and HEIC."""

    def test_png_gamma(self, tmp_path: Path) -> None:
        """A linear PNG is brightened to what its numbers mean."""
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add(b"gAMA", (100_000).to_bytes(4, "big"))
        _flat("RGB", (55, 55, 55)).save(tmp_path / "a.png", pnginfo=info)
        result = photos.process(tmp_path / "a.png", tmp_path / "out")
        expected = _encode(np.array([55 / 255] * 3))
        assert photos.near(_middle(result.proxy), expected, 2)

    def test_colorants(self) -> None:
        """The matrix of sRGB is that of the standard's profile, and white is D50 for each."""
        matrix = np.array(colorants(SRGB))
        assert np.allclose(matrix[1], (0.2225, 0.7169, 0.0606), atol=0.0005)
        for primaries in (SRGB, ADOBE_RGB, DISPLAY_P3, BT2020):
            white = np.array(colorants(primaries)).sum(axis=1)
            assert np.allclose(white, (0.9642, 1.0, 0.8249), atol=0.0005)

    def test_impossible_primaries(self) -> None:
        """Primaries on one line are refused."""
        with pytest.raises(ValueError, match="one line"):
            colorants(Primaries((0.1, 0.1), (0.2, 0.2), (0.3, 0.3)))

    @pytest.mark.parametrize("curve", [pq_curve, hlg_curve])
    def test_hdr_curves(self, curve: object) -> None:
        """HDR curves rise steadily, start at black, end at white, and keep SDR's brightness below."""
        assert callable(curve)
        values = [curve(i / 200) for i in range(201)]
        assert values[0] == pytest.approx(0, abs=1e-6)
        assert values[-1] == pytest.approx(1, abs=1e-6)
        assert all(a <= b for a, b in pairwise(values))

    def test_pq_levels(self) -> None:
        """50 cd/m² stay as they are beside a white of 203; that white keeps room for highlights."""
        assert pq_curve(0.4403) == pytest.approx(50 / 203, rel=0.01)
        assert pq_curve(0.5807) == pytest.approx(0.79, abs=0.01)

    @pytest.mark.parametrize("extension", ["avif", "heic"])
    def test_coded_display_p3(self, extension: str, tmp_path: Path) -> None:
        """Display P3 that is stated by numbers alone is converted like that of a profile."""
        source = _coded(tmp_path, extension, primaries=12, transfer=13)
        result = photos.process(source, tmp_path / "out")
        expected = _encode(np.array(P3_TO_SRGB) @ _decode((180, 120, 90)))
        assert photos.near(_middle(result.proxy), expected, 4)
        assert result.facts["color_primaries"] == "smpte432"
        assert result.facts["color_transfer"] == "iec61966-2-1"

    @pytest.mark.parametrize(("transfer", "name"), [(16, "smpte2084"), (18, "arib-std-b67")])
    def test_coded_hdr(self, transfer: int, name: str, tmp_path: Path) -> None:
        """A still in high dynamic range is toned down, which is said."""
        source = _coded(tmp_path, "avif", primaries=9, transfer=transfer)
        result = photos.process(source, tmp_path / "out")
        assert "high dynamic range was toned down" in result.warnings
        assert (result.facts["color_primaries"], result.facts["color_transfer"]) == ("bt2020", name)

    def test_profile_is_accepted(self) -> None:
        """The profiles that are built are valid for the colour engine and bear their names."""
        import io

        icc = matrix_profile(BT2020, pq_curve, "BT.2100 PQ")
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        assert ImageCms.getProfileDescription(profile).strip() == "BT.2100 PQ"
