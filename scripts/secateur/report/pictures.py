"""The pictures of a report: samples of each class, what augmentation makes of them, and the worst mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageOps

from secateur.data.augment import augment, mixup
from secateur.data.images import Size, UnreadableImageError, read_shown
from secateur.data.pipeline import ImageReader
from secateur.data.preprocessing import Pixels
from secateur.errors import DataError
from secateur.evaluation.saliency import GradCam
from secateur.report.html import data_uri
from secateur.spec import DataSpec, Spec

TILE = 72  # side of a sample, in pixels
GAP = 4
LONGEST = 50  # ratio of the sides above which an image is not enlarged to fill a tile
SAMPLES_A_CLASS = 6
MOST_CLASSES = 40
AUGMENTED = 24
ACROSS = 8
PICTURE = 112  # smallest side of a mistake, in pixels
MISTAKES = 24  # the worst of all classes, and also
MISTAKES_A_CLASS = 2  # the worst of each class
MOST_MISTAKES = 64
OVERLAY = 0.5
SIXTEEN_BIT_TOP = 65535.0

Picture = NDArray[np.uint8]


def samples(manifest: pd.DataFrame, classes: list[str], data_spec: DataSpec) -> list[dict[str, Any]]:
    """A strip of training images per class; only the first classes if there are many."""
    rows = manifest[manifest["split"].eq("train")]
    strips = []
    for name in classes[:MOST_CLASSES]:
        own = rows.loc[rows["class"].eq(name), "path"]
        chosen = own.iloc[np.unique(np.linspace(0, len(own) - 1, min(SAMPLES_A_CLASS, len(own))).astype(int))]
        tiles = [tile for path in chosen if (tile := _tile(path, data_spec)) is not None]
        if tiles:
            strips.append({"name": name, "uri": data_uri(mosaic(tiles, len(tiles))), "count": len(tiles)})
    return strips


def _tile(path: str, data_spec: DataSpec) -> Picture | None:
    """The middle of an image; None if its file was removed."""
    try:
        return np.asarray(ImageOps.fit(read_shown(path, data_spec, _covering), (TILE, TILE)))
    except (UnreadableImageError, DataError):
        return None


def _covering(size: Size) -> Size:
    """The size of an image whose shorter side is the side of a tile. A very long image keeps its own size."""
    ratio = TILE / min(size)
    return size if max(size) > LONGEST * min(size) else (round(size[0] * ratio), round(size[1] * ratio))


def mosaic(tiles: list[Picture], across: int) -> Image.Image:
    """Square tiles, `across` per row, on a transparent background."""
    side, down = tiles[0].shape[0], -(-len(tiles) // across)
    whole = Image.new("RGBA", (across * (side + GAP) - GAP, down * (side + GAP) - GAP))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        whole.paste(Image.fromarray(tile), (column * (side + GAP), row * (side + GAP)))
    return whole


def augmented(spec: Spec, reader: ImageReader, manifest: pd.DataFrame) -> str:
    """A mosaic of training images as the network receives them, with augmentation and mixup; empty without files."""
    rng = np.random.default_rng(spec.train.random_seed)
    paths = manifest.loc[manifest["split"].eq("train"), "path"].to_numpy()
    chosen = rng.choice(paths, min(AUGMENTED, len(paths)), replace=False)
    try:
        stored = [reader.stored(path, training=True) for path in chosen]
    except UnreadableImageError:
        return ""
    pixels = np.stack([augment(one.image, spec.model, spec.augment, rng, one.size) for one in stored])
    mixed, _ = mixup(pixels, np.zeros((len(pixels), 1), np.float32), spec.augment.mixup_alpha, rng)
    return data_uri(mosaic([shown(one, TILE) for one in mixed], ACROSS))


def shown(pixels: NDArray[Any], side: int) -> Picture:
    """The pixels as RGB for display, in a square of at least `side`.

    Args:
        pixels: [height, width, channels], 0..255; or 0..65535 for one channel with values above 255.
        side: pixels.
    """
    array = np.asarray(pixels, np.float32)
    if array.max(initial=0) > 255:
        array = array * (255 / SIXTEEN_BIT_TOP)
    image = Image.fromarray(np.clip(np.round(array), 0, 255).astype(np.uint8).squeeze())
    # The pixels of a small image stay visible; a large image is resized smoothly.
    method = Image.Resampling.NEAREST if max(image.size) * 2 <= side else Image.Resampling.BICUBIC
    return np.asarray(image.convert("RGB").resize((side, side), method))


def worst_mistakes(predictions: pd.DataFrame) -> pd.DataFrame:
    """The wrong answers with the highest confidence, of all classes and of each class."""
    wrong = predictions[~predictions["correct"].astype(bool)].sort_values("confidence", ascending=False, kind="stable")
    chosen = wrong.index.isin(wrong.index[:MISTAKES]) | (wrong.groupby("class").cumcount() < MISTAKES_A_CLASS)
    return wrong[chosen].head(MOST_MISTAKES)


def gallery(
    reader: ImageReader, predictions: pd.DataFrame, classes: list[str], saliency: GradCam | None
) -> list[dict[str, Any]]:
    """The worst mistakes with their pictures and the heat maps of the wrong answers.

    Args:
        reader: decodes as evaluation does.
        predictions: content of the `predictions.csv` of `evaluate`.
        classes: names in index order.
        saliency: of the final model, if it has one.
    """
    found = []
    rows: list[Any] = worst_mistakes(predictions).to_dict("records")
    for row in rows:
        try:
            stored = reader.stored(row["path"], training=False).array
        except UnreadableImageError:
            continue
        looked_at = None
        if saliency is not None:
            looked_at = data_uri(overlaid(stored, saliency, reader.scaled(stored), classes.index(row["predicted"])))
        picture = Image.fromarray(shown(stored, max(PICTURE, min(stored.shape[:2]))))
        found.append({**row, "uri": data_uri(picture), "looked_at": looked_at})
    return found


def overlaid(
    stored: NDArray[Any], saliency: GradCam, scaled: Pixels, label: int, least_side: int = PICTURE
) -> Image.Image:
    """An image with the heat map of a class on top.

    Args:
        stored: pixels [height, width, channels] to show.
        saliency: of the model.
        scaled: the same image as network input.
        label: index of the class.
        least_side: smallest side of the result, in pixels.
    """
    heat = saliency(scaled[np.newaxis], np.array([label]))[0]
    side = max(least_side, min(heat.shape))
    smooth = np.asarray(Image.fromarray(heat).resize((side, side), Image.Resampling.BICUBIC))
    colors = colormaps["inferno"](np.clip(smooth, 0, 1))[..., :3] * 255
    below = shown(stored, side).astype(np.float32)
    # The image is not changed where the heat map is 0.
    weight = OVERLAY * np.clip(smooth, 0, 1)[..., np.newaxis]
    return Image.fromarray(np.clip(below * (1 - weight) + colors * weight, 0, 255).astype(np.uint8))
