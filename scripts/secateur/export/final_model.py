"""The network that is exported, and the images on which its files are measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from secateur.data.pipeline import ImageReader
from secateur.export.input_scaling import layout_inside
from secateur.keras_to_onnx.tf2onnx_route import to_onnx_by_tf2onnx
from secateur.keras_to_onnx.writer import to_onnx
from secateur.quantization.aware import quantisation_aware
from secateur.quantization.ranges import Ranges, ranges_from_json
from secateur.spec import Spec

# Pixels per batch: 5 images of 224x224, so that all activations of a large network fit into memory.
BATCH_PIXELS = 1 << 18
MOST_IMAGES = 64


@dataclass(frozen=True)
class FinalModel:
    """The network that is exported.

    Attributes:
        spec: of its run.
        path: of its file.
        model: plain Keras.
        card: the card in its file.
        classes: names in index order.
        ranges: of its activations, if it was trained for int8.
    """

    spec: Spec
    path: Path
    model: keras.Model
    card: dict[str, Any]
    classes: list[str]
    ranges: Ranges | None

    def plain_onnx(self, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
        """The float32 network that takes scaled pixels. Raises ModelError for a layer that cannot be written."""
        section = self.spec.export
        convert = to_onnx_by_tf2onnx if section.converter == "tf2onnx" else to_onnx
        return convert(self.model, layout_inside(self.spec), section.target_opset, metadata)

    def reference(self, data_type: str) -> keras.Model:
        """The network to compare a file of this precision with: for int8, the network as it was trained."""
        return quantisation_aware(self.model, self.ranges) if data_type == "int8" and self.ranges else self.model


def trained_ranges(card: dict[str, Any], path: Path | str) -> Ranges | None:
    """The ranges that quantisation-aware training stored in a model's card. Raises ModelError if they are not valid."""
    found = card.get("quantization")
    return ranges_from_json(found, str(path)) if found is not None else None


class Pixels:
    """Images of the manifest as a deployed network receives them: cropped and resized, but not scaled.

    Args:
        spec: defines the crop and the size.
        paths: of the images.
    """

    def __init__(self, spec: Spec, paths: list[str]) -> None:
        self.reader = ImageReader(spec.data, spec.augment, spec.model, spec.evaluate.n_workers)
        self.paths = paths
        _, height, width = spec.model.input_image_size
        self.size = max(1, min(MOST_IMAGES, BATCH_PIXELS // (height * width)))

    def batches(self) -> Iterator[NDArray[Any]]:
        """A batch of pixels [batch, height, width, channels], RGB: uint8, 0..255, or float32 at depth 16, 0..65535."""
        for start in range(0, len(self.paths), self.size):
            yield np.stack(list(self.reader.pool.map(self._pixels, self.paths[start : start + self.size])))

    def scaled(self) -> Iterator[NDArray[np.float32]]:
        """A batch of scaled pixels, float32, as in the training of the network."""
        return (self.reader.scaled(pixels) for pixels in self.batches())

    def _pixels(self, path: str) -> NDArray[Any]:
        return self.reader.stored(path, training=False).array


def spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` rows, evenly spread over all rows."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]
