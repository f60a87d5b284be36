"""The inference step: it writes a label for each image in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import IO

import keras
import numpy as np
import pandas as pd
from PIL import Image

from secateur.data.examination import Examined, pixel_facts
from secateur.data.images import UnreadableImageError, image_files
from secateur.data.left_out import UNREADABLE, LeftOut, accounted
from secateur.data.pipeline import ImageReader
from secateur.data.pixel_findings import pixel_warnings, value_findings
from secateur.data.pixel_values import eight_bit
from secateur.data.preprocessing import Pixels
from secateur.errors import DataError, SpecError
from secateur.quantization.aware import as_deployed
from secateur.run import Run
from secateur.runtime.terminal import one_line
from secateur.spec import DataSpec
from secateur.steps.context import step_context
from secateur.steps.fitted_model import fitted_model
from secateur.storage.csv import write_csv


def inference(run: Run, stream: IO[str]) -> pd.DataFrame:
    """Label every image below `inference.image_dir`.

    It writes `inference/result.csv` like TAO, without a header: path, label, confidence; and
    `inference/unreadable.csv`: path and reason of each skipped file.

    Raises:
        SecateurError: the folder or the model cannot be read, or a file cannot be written.
    """
    section = run.spec.inference
    if section.image_dir is None:
        raise SpecError("inference.image_dir is missing", "set it to a folder of images")
    with step_context(run, "inference"):
        model_path = run.resolve(section.model_path, run.model(run.final_step))
        classmap = run.resolve(section.classmap, run.classmap)
        fitted = fitted_model(run, model_path, "inference", stream, classmap)
        spec, model = fitted.run.spec, as_deployed(fitted.model, fitted.card, model_path)
        left_out = LeftOut()
        paths = image_files(section.image_dir, left_out, follow_links=spec.data.follow_links)
        reader = ImageReader(spec.data, spec.augment, spec.model, spec.evaluate.n_workers)
        values = Values(spec.data)
        results, skipped = label_images(model, reader, paths, fitted.classes, spec.evaluate.batch_size, values)
        if results.empty:
            path, reason = skipped.iloc[0]
            raise DataError(
                f"inference.image_dir: none of {len(skipped):,} images can be read; {path}: {reason}",
                "check the path in inference.image_dir",
            )
        write_csv(run.file("inference", "unreadable"), skipped)
        write_csv(run.file("inference", "result"), results, header=False)
    for path, reason in skipped.itertuples(index=False):
        print(f"inference  skipped {path}: {reason}", file=stream)
    left_out.count(UNREADABLE, skipped["path"])
    print(f"inference  {accounted(len(results), left_out, 'images labelled')}", file=stream, flush=True)
    for words in (*left_out.warnings(), *values.warnings()):
        print(f"inference  warning: {one_line(words)}", file=stream, flush=True)
    return results


class Values:
    """Looks at the pixel values of each image as split does, since a wrong range or background makes images constant.

    Args:
        data_spec: range of values, and background.
    """

    def __init__(self, data_spec: DataSpec) -> None:
        self.data_spec = data_spec
        self._facts: dict[str, Examined] = {}

    def look(self, path: str, image: Image.Image) -> None:
        """Keep the facts about a decoded image."""
        self._facts[path] = pixel_facts(image, eight_bit(image, "L", self.data_spec))

    def warnings(self) -> list[str]:
        """A sentence for each kind of finding, with an example."""
        table = pd.DataFrame([facts._asdict() for facts in self._facts.values()], columns=Examined._fields)
        table.insert(0, "path", list(self._facts))
        found = pd.concat(value_findings(table.sort_values("path"), self.data_spec))
        examples = found.groupby("kind")["path"].first()
        said = pixel_warnings(Counter(found["kind"]), self.data_spec)
        return [f"{words}; such as {examples[kind]}" for kind, words in said.items()]


def label_images(
    model: keras.Model, reader: ImageReader, paths: list[str], classes: list[str], batch_size: int, values: Values
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict batch by batch.

    Returns:
        A table of path, label and confidence; and a table of path and reason for files that cannot be read.
    """
    results, skipped = [], []
    for start in range(0, len(paths), batch_size):
        batch: list[tuple[str, Pixels]] = []
        for path, pixels in _read_all(reader, paths[start : start + batch_size], values):
            if isinstance(pixels, UnreadableImageError):
                skipped.append((path, pixels.message))
            else:
                batch.append((path, pixels))
        if batch:
            probabilities = np.asarray(model.predict_on_batch(np.stack([pixels for _, pixels in batch])))
            for (path, _), row in zip(batch, probabilities, strict=True):
                results.append((path, classes[int(row.argmax())], float(row.max())))
    return (
        pd.DataFrame(results, columns=["path", "label", "confidence"]),
        pd.DataFrame(skipped, columns=["path", "reason"]),
    )


def _read_all(
    reader: ImageReader, paths: list[str], values: Values
) -> Iterator[tuple[str, Pixels | UnreadableImageError]]:
    def attempt(path: str) -> Pixels | UnreadableImageError:
        try:
            return reader.read(path, partial(values.look, path))
        except UnreadableImageError as error:
            return error

    return zip(paths, reader.pool.map(attempt, paths), strict=True)
