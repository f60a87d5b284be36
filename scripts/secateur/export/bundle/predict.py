"""Labels images: python predict.py [--key env:NAME] IMAGE ...

It needs onnxruntime, numpy, Pillow and the files in this folder; for an encrypted model pyrage too.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnxruntime
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

HERE = Path(__file__).parent
CARD = json.loads((HERE / "preprocessing.json").read_text("utf-8"))
WIDTH, HEIGHT, DEEP = CARD["width"], CARD["height"], CARD["bits"] == 16
FAILED, NO_KEY = 1, 4
CARD = {"value_range": "auto", "background": "none", "max_pixels": 89_478_485, "plain_sha256": None, **CARD}
# Formats named: Pillow knows more, and starts another program for some.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
# EXIF orientation -> what makes the image upright.
TURNS = {turn: Image.Transpose(kind) for turn, kind in enumerate((0, 3, 1, 5, 4, 6, 2), 2)}


def opened(path: str) -> Image.Image:
    with Path(path).open("rb") as file:
        head = file.read(256)
    if head[4:8] == b"ftyp" and any(
        head[place : place + 4] in HEIF for place in range(8, min(len(head), int.from_bytes(head[:4], "big")), 4)
    ):
        try:
            import pillow_heif
        except ImportError:
            raise OSError("HEIC can be read with pillow-heif only: pip install pillow-heif") from None
        heif: Image.Image = pillow_heif.HeifImageFile(path)
        return heif
    Image.MAX_IMAGE_PIXELS = None  # the limit of the training counts, below
    try:
        return Image.open(path, formats=(*FORMATS, "TGA") if path.lower().endswith(".tga") else FORMATS)
    except Exception:
        if head[:8] != b"\x89PNG\r\n\x1a\n":
            raise
        return Image.open(only_pixels(Path(path).read_bytes()), formats=("PNG",))


def one_scan(path: str, image: JpegImageFile) -> bool:
    """Whether the first scan of a JPEG has all channels. Else the decoder keeps all pixels at any scale."""
    with Path(path).open("rb") as file:
        file.seek(2)
        while len(head := file.read(4)) == 4 and head[0] == 0xFF:
            if head[:2] == b"\xff\xda":
                return not image.info.get("progressive") and file.read(1)[0] == image.layers
            file.seek(int.from_bytes(head[2:], "big") - 2, os.SEEK_CUR)
    return False


def only_pixels(png: bytes) -> io.BytesIO:
    """Without the chunks of metadata: Pillow refuses the file if one of them is damaged."""
    kept, place = [png[:8]], 8
    while place < len(png):
        end = place + 12 + int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(png[place:end])
        place = end
    return io.BytesIO(b"".join(kept))


def orientation(image: Image.Image) -> int:
    try:  # the pixels of an image with broken metadata are sound: it is taken as upright
        found = image.getexif().get(0x0112, 1)
        Image.Exif().load(image.info.get("exif") or b"")
    except Exception:
        return 1
    return int(found) if found in range(1, 9) else 1


def plain(image: Image.Image) -> Image.Image:
    """Without transparency, 0..255; or, for a network of 16 bits, 0..65535."""
    if image.mode[0] in "IF":  # more than 8 bits per channel
        auto = (0, 65535) if image.mode[0] == "I" else (0, 1)
        low, high = auto if CARD["value_range"] == "auto" else CARD["value_range"]
        top = np.float32(65535 if DEEP else 255)
        values = np.nan_to_num((np.array(image, np.float32) - np.float32(low)) * np.float32(top / (high - low)), nan=0)
        return Image.fromarray(np.clip(values, 0, top) if DEEP else np.round(np.clip(values, 0, top)).astype(np.uint8))
    if CARD["background"] != "none" and image.has_transparency_data:
        whole = image.convert("RGBA")
        if whole.getchannel("A").histogram()[255] < whole.width * whole.height:
            across, down = (np.arange(side) // 8 % 2 for side in image.size)
            one, other = {"white": (255, 255), "black": (0, 0), "checker": (255, 204)}[CARD["background"]]
            image = Image.fromarray(np.where(across ^ down[:, None], other, one).astype(np.uint8)).convert("RGB")
            image.paste(whole.convert("RGB"), mask=whole.getchannel("A"))
    image = image.convert("RGB") if image.mode == "LAB" else image
    if DEEP:
        return Image.fromarray(np.asarray(image.convert("L"), np.float32) * 257)
    return image.convert("L" if CARD["channels"] == 1 else "RGB")


def pixels(path: str) -> np.ndarray:
    image = opened(path)
    jpeg, (w, h) = isinstance(image, JpegImageFile), image.size
    scales = (1, 2, 4, 8) if isinstance(image, JpegImageFile) and one_scan(path, image) else (1,)
    least = next((scale for scale in scales if -(-w // scale) * -(-h // scale) <= CARD["max_pixels"]), 0)
    if not least:
        raise ValueError(f"{w} x {h} pixels, more than {CARD['max_pixels']:,}")
    if not jpeg:
        image.load()
    turn = orientation(image)
    lying = turn >= 5  # rotated by 90 degrees
    w, h = image.size[::-1] if lying else image.size
    ratio = max((WIDTH + CARD["crop_padding"]) / w, (HEIGHT + CARD["crop_padding"]) / h)
    crop = CARD["crop"] == "center" and (w, h) != (WIDTH, HEIGHT)
    target = (int(w * ratio), int(h * ratio)) if crop else (WIDTH, HEIGHT)
    size, box = target[::-1] if lying else target, None
    if jpeg:  # decoded at a smaller scale if that is exact enough, as in training
        whole = image.size
        gap = whole if whole == size else (2 * size[0], 2 * size[1])
        draft = image.draft(None, (max(1, min(gap[0], whole[0] // least)), max(1, min(gap[1], whole[1] // least))))
        box = draft[1] if draft and image.size != whole else None
    image = plain(image)
    if image.size != size or box:
        image = image.resize(size, Image.Resampling[CARD["interpolation"].upper()], box=box)
    left, top = round(target[0] / 2) - round(WIDTH / 2), round(target[1] / 2) - round(HEIGHT / 2)
    image = (image.transpose(TURNS[turn]) if turn in TURNS else image).crop((left, top, left + WIDTH, top + HEIGHT))
    array = np.asarray(image, np.float32).reshape(HEIGHT, WIDTH, -1)[
        ..., :: -1 if CARD["channel_order"] == "BGR" else 1
    ]
    array = (array - np.array(CARD["mean"], np.float32)) * np.array(CARD["scale"], np.float32)
    array = array.transpose(2, 0, 1) if CARD["input"]["layout"] == "NCHW" else array
    return np.ascontiguousarray(array[np.newaxis].astype(CARD["input"]["type"]))


def stop(what: str, hint: str) -> NoReturn:
    print(f"error: {what}\nhint: {hint}", file=sys.stderr)
    sys.exit(NO_KEY)


def labels(session: onnxruntime.InferenceSession) -> list[str]:
    """The classes in the order of the answers. The model has them too, and a file can be of another model."""
    file = HERE / "labels.txt"
    listed = file.read_text("utf-8").splitlines() if file.exists() else None
    inside = session.get_modelmeta().custom_metadata_map.get("classes")
    if inside is not None and listed not in (None, json.loads(inside)):
        print("warning: labels.txt has other classes than the model, whose own are used", file=sys.stderr)
    if inside is None and listed is None:
        stop("labels.txt is missing", "copy the whole folder of the export")
    return json.loads(inside) if inside is not None else listed or []


def started(content: str | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # Without this, int8 networks are computed inexactly on x86 CPUs without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as problem:
        reason = (str(problem).splitlines() or [type(problem).__name__])[0]
        stop(f"{CARD['model']} cannot be opened: {reason}", "copy it again from where you got it")


def shown(name: str) -> str:
    """A file's name without characters that move the cursor or split the line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def model(key: str | None) -> str | bytes:
    """The path of the plain model, or the content of the encrypted one, which is opened in memory only."""
    plain = HERE / CARD["model"]
    encrypted = plain.with_suffix(".etlt")
    if key is not None and encrypted.exists():
        return decrypted(encrypted, passphrase(key))
    if key is None and plain.exists():
        if CARD["plain_sha256"] not in (None, hashlib.sha256(plain.read_bytes()).hexdigest()):
            print(f"warning: {plain.name} is of another export, or it was changed", file=sys.stderr)
        return str(plain)
    if key is None and encrypted.exists():
        stop(
            f"{encrypted.name} is encrypted", "give its key: python predict.py --key env:NAME IMAGE, or --key file:PATH"
        )
    if plain.exists():
        stop(f"--key is given, and {plain.name} is not encrypted", "leave out --key")
    stop(f"the model is missing: {plain.name} or {encrypted.name}", "copy the whole folder of the export")


def passphrase(given: str) -> str:
    """From an environment variable, or from the first line of a file. It is never printed."""
    kind, _, name = given.partition(":")
    if kind == "env":
        key = os.environ.get(name, "")
    elif kind == "file":
        try:
            file = Path(name).expanduser()
            key = file.read_text("utf-8-sig").partition("\n")[0]
            if os.name == "posix" and file.is_file() and file.stat().st_mode & 0o077:
                print(f"warning: other users can read the key file {name}: chmod 600 {name}", file=sys.stderr)
        except (OSError, ValueError, RuntimeError) as problem:
            stop(f"cannot read the key file {name}: {problem}", "name a file with the passphrase in its first line")
    else:
        stop("--key takes no passphrase, which other users of the machine could read", "give env:NAME or file:PATH")
    if not key:
        empty = f"environment variable {name} is not set" if kind == "env" else f"first line of {name} is empty"
        stop(f"the {empty}", "put the passphrase of the export there")
    return unicodedata.normalize("NFC", key)


def decrypted(encrypted: Path, key: str) -> bytes:
    try:
        import pyrage
    except ImportError:
        stop(f"{encrypted.name} is encrypted, and the package pyrage, which opens it, is missing", "pip install pyrage")
    content = encrypted.read_bytes()
    try:
        return bytes(pyrage.passphrase.decrypt(content, key))
    except (pyrage.DecryptError, UnicodeError):
        manifest = HERE / "MANIFEST.json"
        files = json.loads(manifest.read_text("utf-8"))["files"] if manifest.exists() else {}
    known = files.get(encrypted.name, {}).get("sha256")
    if known is None:
        stop(f"{encrypted.name} cannot be opened: the key is wrong, or the file is damaged", "check the key first")
    if known != hashlib.sha256(content).hexdigest():
        stop(f"{encrypted.name} is damaged: it is not the file in MANIFEST.json", "copy it again from where you got it")
    stop(f"wrong key for {encrypted.name}", "give the passphrase of the export, the key of its spec")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--key", help="of an encrypted model (.etlt): env:NAME or file:PATH")
    asked = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):  # a letter that the console does not have is printed as its number
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    session = started(model(asked.key))
    classes = labels(session)
    status = 0
    for name in asked.images:
        try:
            given = pixels(name)
        except Exception as problem:
            reason = getattr(problem, "strerror", None) or str(problem)
            reason = "not an image that can be read" if "cannot identify image file" in reason else reason
            print(f"error: {shown(name)}: {reason}", file=sys.stderr)
            status = FAILED
            continue
        answer = session.run(None, {CARD["input"]["name"]: given})[0][0]
        print(shown(name), classes[answer.argmax()], f"{answer.max():.4f}", sep="\t")
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as problem:  # the answers cannot be written: the reader has gone, or the disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(problem, BrokenPipeError):
            print(f"error: cannot write the answers: {problem.strerror}", file=sys.stderr)
        sys.exit(FAILED)
