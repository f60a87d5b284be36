"""Labels images: python predict.py IMAGE ...  It needs onnxruntime, numpy, Pillow and the files in this folder."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

HERE = Path(__file__).parent
CARD = json.loads((HERE / "preprocessing.json").read_text())
LABELS = (HERE / "labels.txt").read_text("utf-8").splitlines()
WIDTH, HEIGHT, DEEP = CARD["width"], CARD["height"], CARD["bits"] == 16


def pixels(path: str) -> np.ndarray:
    image: Image.Image = Image.open(path)
    lying = image.getexif().get(0x0112, 1) >= 5  # EXIF orientation: rotated by 90 degrees
    w, h = image.size[::-1] if lying else image.size
    ratio = max((WIDTH + CARD["crop_padding"]) / w, (HEIGHT + CARD["crop_padding"]) / h)
    crop = CARD["crop"] == "center" and (w, h) != (WIDTH, HEIGHT)
    target = (int(w * ratio), int(h * ratio)) if crop else (WIDTH, HEIGHT)
    size, box = target[::-1] if lying else target, None
    if (
        image.format == "JPEG" and image.size != size
    ):  # decoded at a smaller scale if that is exact enough, as in training
        whole, draft = image.size, image.draft(None, (2 * size[0], 2 * size[1]))
        box = draft[1] if draft and image.size != whole else None
    if image.mode.startswith("I"):  # 16 bits per channel
        values = np.asarray(image, np.float32)
        image = Image.fromarray(values if DEEP else np.clip(np.round(values / 257), 0, 255).astype(np.uint8))
    elif DEEP:
        image = Image.fromarray(np.asarray(image.convert("L"), np.float32) * 257)
    image = image if DEEP else image.convert("L" if CARD["channels"] == 1 else "RGB")
    if image.size != size or box:
        image = image.resize(size, Image.Resampling[CARD["interpolation"].upper()], box=box)
    left, top = round(target[0] / 2) - round(WIDTH / 2), round(target[1] / 2) - round(HEIGHT / 2)
    image = ImageOps.exif_transpose(image).crop((left, top, left + WIDTH, top + HEIGHT))
    array = np.asarray(image, np.float32).reshape(HEIGHT, WIDTH, -1)[
        ..., :: -1 if CARD["channel_order"] == "BGR" else 1
    ]
    array = (array - np.array(CARD["mean"], np.float32)) * np.array(CARD["scale"], np.float32)
    array = array.transpose(2, 0, 1) if CARD["input"]["layout"] == "NCHW" else array
    return np.ascontiguousarray(array[np.newaxis].astype(CARD["input"]["type"]))


if __name__ == "__main__":
    options = onnxruntime.SessionOptions()
    # Without this, int8 networks are computed inexactly on x86 CPUs without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(HERE / CARD["model"], options, providers=["CPUExecutionProvider"])
    for name in sys.argv[1:]:
        answer = session.run(None, {CARD["input"]["name"]: pixels(name)})[0][0]
        print(name, LABELS[answer.argmax()], f"{answer.max():.4f}", sep="\t")
