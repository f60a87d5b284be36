"""Images as users have them: every mode, depth, container and orientation, and metadata that is broken."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

ORIENTATION = 0x0112
# EXIF that is no TIFF, is cut short, has a text, a list or an unknown number as the orientation, or a loop.
BROKEN_EXIF = {
    "text": b"hello, this is no TIFF",
    "short": b"II*\0",
    "prefix": b"Exif\0\0garbage",
    "letters": b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x03\0\0\0ab\0\0\0\0\0\0",
    "unknown": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
}
LATIN_XMP = b'<?xpacket?><x:xmpmeta a="caf\xe9"/>'


def picture(width: int = 90, height: int = 70, seed: int = 3) -> Image.Image:
    """A smooth picture in colour."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def ramp(top: float, dtype: type) -> Image.Image:
    """A gray image of one deep mode, from 0 to `top`."""
    return Image.fromarray((np.linspace(0, 1, 48 * 36).reshape(36, 48) * top).astype(dtype))


def icon() -> Image.Image:
    """A black disc on transparency whose hidden colour is black too."""
    down, across = np.mgrid[:48, :64]
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., 3] = np.where((across - 32) ** 2 + (down - 24) ** 2 < 300, 255, 0)
    pixels[20:24, :, 3] = 120
    return Image.fromarray(pixels)


def turn_of(orientation: int) -> bytes:
    """EXIF with this orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(image: Image.Image, *chunks: bytes) -> bytes:
    """A PNG with further chunks behind its header."""
    stream = io.BytesIO()
    image.save(stream, "png")
    content = stream.getvalue()
    return content[:33] + b"".join(chunks) + content[33:]


def with_broken_metadata(folder: Path) -> Iterator[Path]:
    """Sound pixels under metadata that cannot be read, in each container that Pillow writes."""
    image = picture()
    for name, exif in BROKEN_EXIF.items():
        image.save(folder / f"{name}.jpg", exif=b"Exif\0\0" + exif)
        image.save(folder / f"{name}_mpo.jpg", "MPO", save_all=True, append_images=[image], exif=b"Exif\0\0" + exif)
        image.save(folder / f"{name}.png", exif=exif)
        image.save(folder / f"{name}.webp", exif=exif, lossless=True)
        raw = PngInfo()
        raw.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}")
        image.save(folder / f"{name}_raw.png", pnginfo=raw)
    chunks = {kind: png_chunk(kind, b"1") for kind in (b"pHYs", b"gAMA", b"cHRM", b"acTL")}
    chunks[b"sRGB"], chunks[b"zTXt"] = png_chunk(b"sRGB", b""), png_chunk(b"zTXt", b"key\0\5x")
    chunks[b"tEXt"] = png_chunk(b"tEXt", b"key\0text")[:-4] + bytes(4)
    for kind, chunk in chunks.items():
        (folder / f"{kind.decode()}.png").write_bytes(png_with(image, chunk))
    raw = PngInfo()
    raw.add_text("Raw profile type exif", "\nexif\n  20\nthis is not hexadecimal")
    image.save(folder / "words_raw.png", pnginfo=raw)
    yield from sorted(folder.iterdir())


def with_latin_xmp(folder: Path) -> Iterator[Path]:
    """XMP in Latin-1 beside a turn, which Pillow's own `exif_transpose` rewrites."""
    image = picture()
    for suffix in ("jpg", "webp", "avif"):
        image.save(folder / f"xmp.{suffix}", xmp=LATIN_XMP, exif=turn_of(6))
    image.save(folder / "xmp.tif", tiffinfo={700: LATIN_XMP, ORIENTATION: 6})
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + LATIN_XMP
    (folder / "xmp.png").write_bytes(png_with(image, png_chunk(b"iTXt", text), png_chunk(b"eXIf", turn_of(6)[6:])))
    (folder / "profile.png").write_bytes(png_with(image, png_chunk(b"iCCP", b"name\0\0no profile")))
    yield from sorted(folder.iterdir())


def modes(folder: Path) -> Iterator[Path]:
    """Every mode that a file of ours can have."""
    image = picture()
    for mode in ("1", "L", "P", "RGB", "CMYK", "LAB"):
        image.convert("RGB" if mode == "LAB" else mode).convert(mode).save(folder / f"{mode}.tif")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.convert("CMYK").save(folder / "cmyk.jpg", icc_profile=profile)
    image.convert("L").save(folder / "gray.jpg")
    image.save(folder / "progressive.jpg", progressive=True)
    image.save(folder / "first.mpo", "MPO", save_all=True, append_images=[picture(seed=4)])
    image.save(folder / "small.jfif", "JPEG")
    for suffix in ("avif", "jp2", "ppm", "tga", "bmp", "gif", "webp"):
        image.save(folder / f"plain.{suffix}")
    image.convert("L").save(folder / "gray.pgm")
    image.save(folder / "animated.gif", save_all=True, append_images=[picture(seed=5), picture(seed=6)])
    image.save(folder / "animated.webp", save_all=True, append_images=[picture(seed=5)], lossless=True)
    image.save(folder / "animated.png", save_all=True, append_images=[picture(seed=5)])
    image.save(folder / "pages.tif", save_all=True, append_images=[picture(seed=5)])
    Image.new("RGB", (1, 1), (9, 200, 3)).save(folder / "one.png")
    Image.new("RGB", (700, 2), (9, 200, 3)).save(folder / "line.png")
    picture(1300, 1100).save(folder / "large.jpg", quality=95)
    yield from sorted(folder.iterdir())


def deep(folder: Path) -> Iterator[Path]:
    """More than 8 bits per channel."""
    ramp(65535, np.uint16).save(folder / "sixteen.png")
    ramp(65535, np.uint16).save(folder / "sixteen.tif")
    ramp(65535, np.int32).save(folder / "thirty_two.tif")
    ramp(1, np.float32).save(folder / "float.tif")
    (folder / "sixteen.pgm").write_bytes(
        b"P5 48 36 65535\n" + np.asarray(ramp(65535, np.uint16)).astype(">u2").tobytes()
    )
    strange = np.asarray(ramp(1, np.float32)).copy()
    strange[0, :4] = np.nan, np.inf, -np.inf, -3
    Image.fromarray(strange).save(folder / "nan.tif")
    yield from sorted(folder.iterdir())


def transparent(folder: Path) -> Iterator[Path]:
    """Alpha channels, palettes with transparency, and a transparent colour."""
    icon().save(folder / "rgba.png")
    icon().save(folder / "rgba.webp", lossless=True)
    icon().save(folder / "rgba.tif")
    icon().save(folder / "rgba.avif")
    icon().save(folder / "rgba.tga")
    icon().convert("LA").save(folder / "la.png")
    icon().quantize(8).save(folder / "palette.png")
    picture().quantize(16).save(folder / "one_of_palette.png", transparency=3)
    picture().quantize(16).save(folder / "one_of_palette.gif", transparency=3)
    Image.fromarray(np.asarray(picture()) // 64 * 64).save(folder / "colour.png", transparency=(64, 64, 64))
    picture().convert("L").save(folder / "shade.png", transparency=100)
    opaque = picture()
    opaque.putalpha(255)
    opaque.save(folder / "opaque.png")
    yield from sorted(folder.iterdir())


def turned(folder: Path) -> Iterator[Path]:
    """EXIF turns in every container."""
    image = picture(200, 150)
    for turn in (1, 3, 5, 6, 8):
        for suffix in ("jpg", "png", "tif", "webp", "avif"):
            more = {"lossless": True} if suffix == "webp" else {}
            image.save(folder / f"{turn}.{suffix}", exif=turn_of(turn), **more)
        image.save(folder / f"{turn}_mpo.jpg", "MPO", save_all=True, append_images=[picture()], exif=turn_of(turn))
    xmp = PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6">')
    image.save(folder / "xmp.png", pnginfo=xmp)
    yield from sorted(folder.iterdir())


ZOO = {
    function.__name__: function for function in (with_broken_metadata, with_latin_xmp, modes, deep, transparent, turned)
}


def zoo(kind: str, folder: Path) -> list[Path]:
    """The files of one kind, in a new folder."""
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(ZOO[kind](folder))
