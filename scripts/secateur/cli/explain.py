"""The command `secateur explain`: it classifies one image and writes a Grad-CAM heat map."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from secateur.data.images import UnreadableImageError
from secateur.data.pipeline import ImageReader
from secateur.errors import DataError, ModelError, SpecError
from secateur.evaluation.saliency import GradCam
from secateur.models.file import load_model
from secateur.models.graph import require_fit
from secateur.models.trained_input import trained_sections
from secateur.quantization.aware import as_deployed
from secateur.report.pictures import overlaid, shown
from secateur.runtime.terminal import one_line
from secateur.storage.atomic import write_bytes

OURS = "give a model that train or retrain wrote"
MOST_SAID = 5
SIDE = 448  # side of each of the two pictures, in pixels


def explain(model_path: str, image: str, key: str | None, output: str, of: str | None = None) -> str:
    """Classify an image and write a picture: the image, and beside it the Grad-CAM heat map of a class.

    Args:
        model_path: a `.tlt` file that secateur wrote; it names its classes and its preprocessing.
        image: the image file.
        key: passphrase of the model.
        output: `.png` to write.
        of: the class to explain; None: the most likely class.

    Returns:
        The most likely classes with their probabilities, and the path of the picture.

    Raises:
        SecateurError: a file cannot be read or written, the model file does not name its classes, the model has no
            feature map to show, or it has no class `of`.
    """
    model, card = load_model(Path(model_path), key)
    classes = card.get("classes") or []
    if not classes:
        raise ModelError(f"{model_path}: the file does not name its classes", OURS)
    if of is not None and of not in classes:
        raise SpecError(f"--of: there is no class '{of}'", f"the classes are {', '.join(classes)}")
    reader = reader_of(card, model_path)
    require_fit(model, classes, reader.model_spec.input_image_size, model_path)
    try:
        stored = reader.stored(image, training=False).array
    except UnreadableImageError as error:
        raise DataError(f"{image}: {error.message}", error.hint) from error
    scaled = reader.scaled(stored)
    probabilities = np.asarray(as_deployed(model, card, model_path)(scaled[np.newaxis], training=False))[0]
    label = classes.index(of) if of is not None else int(probabilities.argmax())
    cam = GradCam(model)
    heat = np.asarray(overlaid(stored, cam, scaled, label, SIDE))
    picture = io.BytesIO()
    Image.fromarray(np.hstack([shown(stored, SIDE), heat])).save(picture, "png")
    write_bytes(output, picture.getvalue())
    best = np.argsort(-probabilities, kind="stable")[:MOST_SAID]
    said = [f"{classes[index]:<24} {probabilities[index]:.4f}" for index in best]
    said.append(f"wrote {output}: the image and the heat map of {classes[label]} (layer {cam.layer})")
    return "\n".join(map(one_line, said))


def reader_of(card: dict[str, Any], path: str) -> ImageReader:
    """A reader that prepares images as in the training of the model. Raises ModelError if its card does not say how."""
    sections = trained_sections(card)
    if sections is None:
        raise ModelError(f"{path}: the file does not describe its preprocessing", OURS)
    return ImageReader(*sections, workers=1)
