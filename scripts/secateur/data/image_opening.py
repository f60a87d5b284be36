"""Open image files of strangers: which formats, how many pixels, how much memory; and their EXIF orientation."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from secateur.data.addresses import is_url
from secateur.data.filesystem import MAX_FILE_BYTES, read_bytes
from secateur.data.memory_budget import MemoryBudget
from secateur.data.pixel_values import is_deep
from secateur.errors import DataError
from secateur.storage.regular_files import open_regular

# Format of Pillow -> suffixes of its files. Pillow knows many more, and starts Ghostscript for PostScript. Phones write
# MPO, which is a JPEG with further pictures behind it.
SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TGA": (".tga",),
    "HEIF": (".heic", ".heif", ".hif"),
}
SUFFIXES = frozenset(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
# A TGA file does not begin with a signature: almost any bytes are one. So its suffix decides.
BY_SUFFIX = "TGA"
# Needs pillow-heif, an extra: its wheels contain the encoder x265, which is under the GPL.
BY_EXTRA = "HEIF"
FORMATS = tuple(name for name in SUFFIXES_OF if name not in (BY_SUFFIX, BY_EXTRA))
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
# In the reason of an image that exceeds `data.max_pixels`.
TOO_LARGE = "pixels, more than"
NO_HEIF = "HEIC can be read with pillow-heif only: pip install pillow-heif"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# The key in the information of an image that was opened without its metadata: the reason.
LEFT_OUT = "secateur: metadata left out"

# A progressive JPEG has about ten. Thumbnails in its metadata have some too.
START_OF_SCAN, MAX_SCANS = b"\xff\xda", 100
# The scales at which a JPEG can be decoded: 1/2, 1/4, 1/8.
SCALES = (1, 2, 4, 8)
# One image at the usual limit of pixels takes up to 1.2 GB (16-bit gray); photographs of 24 million pixels do not wait.
DECODING = MemoryBudget(total=3 << 29, small=200 << 20)
# Exceptions of Pillow's decoders for bytes that are not an image.
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
    struct.error, zlib.error, MemoryError, RuntimeError, Image.DecompressionBombError,
)  # fmt: skip

ORIENTATION = 0x0112  # EXIF 2.32
ORIENTATIONS = range(1, 9)

Size = tuple[int, int]  # width, height


class UnreadableImageError(DataError):
    """An image file cannot be used; the message is the reason only."""


@contextmanager
def opened(file: Path | str | IO[bytes], max_pixels: int, name: str = "") -> Iterator[Image.Image]:
    """Open an image without decoding its pixels. An image with too many pixels is refused.

    Args:
        file: path, URL or content.
        max_pixels: `data.max_pixels`. A JPEG with one scan, such as a camera writes, counts by its pixels at the scale
            of `least_scale`.
        name: of the file, if `file` is its content.

    Raises:
        UnreadableImageError: the file is missing, is not an image, is cut short or is too large; also if the block
            fails because of the image.
    """
    try:
        with _stream(file) as stream, _recognised(stream, name or str(file), max_pixels) as image:
            pixels = _pixels_to_decode(image, stream, max_pixels)
            if image.info.get("progressive"):
                _require_few_scans(stream)
            with DECODING.reserved(pixels * _bytes_per_pixel(image)):
                yield image
    except UNREADABLE as error:
        hint = getattr(error, "hint", "") or "replace or remove the file"
        raise UnreadableImageError(_reason_of(error, max_pixels), hint) from error


def _recognised(stream: IO[bytes], name: str, max_pixels: int) -> Image.Image:
    """The image, by its first bytes. Raises an exception of `UNREADABLE`."""
    head = stream.read(256)
    stream.seek(0)
    if head[4:8] == b"ftyp" and HEIF_BRANDS & set(_brands(head)):
        return _heif(stream)
    # Pillow's own limit is for the whole process and does not know that JPEGs are decoded at a smaller scale. It is
    # only raised; `_pixels_to_decode` checks each image.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels * SCALES[-1] ** 2)
    by_suffix = (BY_SUFFIX,) if name.lower().endswith(SUFFIXES_OF[BY_SUFFIX]) else ()
    try:
        return Image.open(stream, formats=(*FORMATS, *by_suffix))
    except UNREADABLE:
        if not head.startswith(PNG_SIGNATURE):
            raise
        image = Image.open(_only_pixels(stream), formats=("PNG",))
        image.info[LEFT_OUT] = "a chunk of the PNG cannot be read"
        return image


def _only_pixels(stream: IO[bytes]) -> IO[bytes]:
    """A PNG without the chunks that are not pixels: Pillow refuses the file if one of them is cut or damaged."""
    stream.seek(0)
    kept = io.BytesIO()
    kept.write(stream.read(len(PNG_SIGNATURE)))
    while len(head := stream.read(8)) == 8:
        content = stream.read(int.from_bytes(head[:4], "big") + 4)
        if head[4:] in PNG_PIXELS:
            kept.write(head + content)
    kept.seek(0)
    return kept


def _brands(head: bytes) -> Iterator[bytes]:
    """The brands of the first box of an ISO base media file; AVIF and HEIC have the same container."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return (head[place : place + 4] for place in (8, *range(16, end, 4)))


def _heif(stream: IO[bytes]) -> Image.Image:
    try:
        import pillow_heif  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UnreadableImageError(NO_HEIF, "install it, or save the images as JPEG") from error
    image: Image.Image = pillow_heif.HeifImageFile(stream)
    return image


def least_scale(size: Size, max_pixels: int) -> int:
    """The divisor of the sides by which a JPEG must be decoded at least; 0 if it is too large even at 1/8."""
    return next((scale for scale in SCALES if _reduced(size, scale) <= max_pixels), 0)


def _reduced(size: Size, scale: int) -> int:
    return -(-size[0] // scale) * -(-size[1] // scale)


def _pixels_to_decode(image: Image.Image, stream: IO[bytes], max_pixels: int) -> int:
    """The pixels that decoding makes at most. Raises UnreadableImageError if they are too many."""
    if image.width * image.height <= max_pixels:
        return image.width * image.height
    scale = least_scale(image.size, max_pixels)
    if not (isinstance(image, JpegImageFile) and scale and _has_one_scan(image, stream)):
        raise UnreadableImageError(
            f"{image.width} x {image.height} {TOO_LARGE} {max_pixels:,}", "raise data.max_pixels"
        )
    return _reduced(image.size, scale)


def _has_one_scan(image: JpegImageFile, stream: IO[bytes]) -> bool:
    """Whether the first scan of a JPEG has all channels. Else the decoder keeps all pixels at any scale."""
    place = stream.tell()
    stream.seek(2)
    try:
        while len(head := stream.read(4)) == 4 and head[0] == 0xFF:
            if head[:2] == START_OF_SCAN:
                return not image.info.get("progressive") and stream.read(1)[0] == image.layers
            stream.seek(int.from_bytes(head[2:], "big") - 2, os.SEEK_CUR)
        return False
    finally:
        stream.seek(place)


def _bytes_per_pixel(image: Image.Image) -> int:
    """The memory of a decoded pixel and of its copies in other modes; Pillow has 4 bytes for a pixel in colour."""
    return 14 if is_deep(image) or image.has_transparency_data else 8


def _require_few_scans(stream: IO[bytes]) -> None:
    """Refuse a progressive JPEG of very many scans: each goes over all pixels again, and can have a few bytes only."""
    place = stream.tell()
    stream.seek(0)
    scans = sum(chunk.count(START_OF_SCAN) for chunk in iter(partial(stream.read, MAX_FILE_BYTES), b""))
    stream.seek(place)
    if scans > MAX_SCANS:
        raise UnreadableImageError(f"{scans:,} scans, more than {MAX_SCANS}")


@contextmanager
def _stream(file: Path | str | IO[bytes]) -> Iterator[IO[bytes]]:
    """The content of a file. Raises OSError if it is missing or no regular file; DataError if its filesystem fails."""
    if not isinstance(file, Path | str):
        yield file
    elif is_url(str(file)):
        yield io.BytesIO(read_bytes(str(file)))
    else:
        with open_regular(file) as stream:
            if os.fstat(stream.fileno()).st_size > MAX_FILE_BYTES:
                raise UnreadableImageError(f"larger than {MAX_FILE_BYTES:,} bytes", "replace or remove the file")
            yield stream


def _reason_of(error: Exception, max_pixels: int) -> str:
    """The reason why a decoder failed, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {max_pixels:,} pixels"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "not an image that can be read" if "cannot identify image file" in text else text


def orientation(image: Image.Image) -> tuple[int, str]:
    """The EXIF orientation, 1 (upright) to 8, and why the metadata cannot be read; empty if it can.

    The pixels of an image with broken metadata are sound, so it is taken as upright.
    """
    if reason := image.info.get(LEFT_OUT):
        return 1, str(reason)
    try:
        found = image.getexif().get(ORIENTATION)
        # Pillow's JPEG reader has asked before and has swallowed the exception.
        if exif := image.info.get("exif"):
            Image.Exif().load(exif)
    except UNREADABLE as error:
        return 1, f"EXIF: {error or type(error).__name__}"
    if found is None or found == 0 or found in ORIENTATIONS:
        return int(found or 1), ""
    return 1, f"EXIF: orientation {found!r}"
