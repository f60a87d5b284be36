"""The backbones that keras.applications has too: class, layer names, and the options that its weights need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras

from secateur.errors import ArtifactError, SpecError
from secateur.spec import ModelSpec
from secateur.spec.architectures import family_name
from secateur.storage.atomic import atomic_file

CLASSES = {
    **{f"efficientnet-b{variant}": f"EfficientNetB{variant}" for variant in range(8)},
    **{f"resnet_{depth}": f"ResNet{depth}" for depth in (50, 101, 152)},
    "vgg_16": "VGG16",
    "vgg_19": "VGG19",
    "mobilenet_v1": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
}
_MOBILENET = {"use_batch_norm": True, "use_bias": False, "padding": "same", "activation_type": "relu6"}
# Options of the model section with which our network computes the same as theirs.
NEEDED_OPTIONS: dict[str, dict[str, Any]] = {
    "resnet": {
        "use_pooling": True,
        "use_batch_norm": True,
        "use_bias": True,
        "all_projections": False,
        "padding": "symmetric",
        "activation_type": "relu",
    },
    "vgg": {"use_pooling": True, "use_batch_norm": False, "use_bias": True, "activation_type": "relu"},
    "mobilenet_v1": _MOBILENET,
    "mobilenet_v2": {**_MOBILENET, "all_projections": False},
    "efficientnet": {"activation_type": "swish"},
}
OWN_ACTIVATIONS = {"resnet": "relu", "vgg": "relu", "mobilenet_v1": "relu", "mobilenet_v2": "relu"}
# Scaling of the images on which the ImageNet weights were trained.
PREPROCESS_MODES = {
    "resnet": "caffe",
    "vgg": "caffe",
    "mobilenet_v1": "tf",
    "mobilenet_v2": "tf",
    "efficientnet": "torch",
}


def layer_name(arch: str, ours: str) -> str:
    """The name in keras.applications of one of our layers; most names are equal."""
    if arch.startswith("resnet"):
        return _resnet_name(ours)
    return {"output_fc": "predictions", "predictions": "conv_preds" if arch == "mobilenet_v1" else ours}.get(ours, ours)


def _resnet_name(ours: str) -> str:
    """Map block_2b_conv_1 to conv3_block2_1_conv; the projection is number 0."""
    if ours.startswith("head_fc"):
        return "predictions"
    place = re.fullmatch(r"block_(\d)([a-z]+)_(conv|bn)_(\w+)", ours)
    if place is None:
        return {"conv1": "conv1_conv", "bn_conv1": "conv1_bn"}.get(ours, ours)
    stage, letters, kind, number = place.groups()
    block = 0
    for letter in letters:
        block = block * 26 + ord(letter) - ord("a") + 1
    return f"conv{int(stage) + 1}_block{block}_{0 if number == 'shortcut' else number}_{kind}"


def differences(model_spec: ModelSpec) -> list[str]:
    """The options with which a network computes something else than theirs, as the `key: value` that it needs."""
    family = family_name(model_spec.arch)
    own = {"activation_type": OWN_ACTIVATIONS.get(family, "swish"), "padding": "same" if family == "resnet" else None}
    needed = NEEDED_OPTIONS.get(family, {})
    return [
        f"model.{option}: {value}"
        for option, value in needed.items()
        if (value != (given if (given := getattr(model_spec, option)) is not None else own.get(option)))
    ]


def download(arch: str, target: Path | str, with_head: bool) -> list[str]:
    """Fetch the ImageNet weights of keras.applications and write them as `.weights.h5`.

    Args:
        arch: canonical name.
        target: file to write; it must end in `.weights.h5`.
        with_head: include the layers for ImageNet's 1000 classes.

    Returns:
        The lines of a spec that these weights need.

    Raises:
        SpecError: keras.applications has no such network, or the target has another suffix.
        ArtifactError: there is no network connection, or the server does not send the file.
    """
    if arch not in CLASSES:
        raise SpecError(f"keras.applications has no weights for {arch}", f"it has them for {', '.join(CLASSES)}")
    if not str(target).endswith(".weights.h5"):
        raise SpecError(f"'{target}' must end in .weights.h5", "give -o another name")
    try:
        model = getattr(keras.applications, CLASSES[arch])(weights="imagenet", include_top=with_head)
    except Exception as error:  # Keras raises plain Exception for a failed download
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(
            f"cannot download the weights of {arch}: {reason}",
            f"where there is a network save keras.applications.{CLASSES[arch]}() as .keras, and copy it here",
        ) from error
    with atomic_file(target) as stream:
        scratch = Path(f"{stream.name}.weights.h5")
        try:
            model.save_weights(scratch)
            stream.write(scratch.read_bytes())
        finally:
            scratch.unlink(missing_ok=True)
    family = family_name(arch)
    options = [
        f"model.{option}: {value}" for option, value in NEEDED_OPTIONS[family].items() if family != "efficientnet"
    ]
    return [f"train.pretrained_model_path: {target}", f"data.preprocess_mode: {PREPROCESS_MODES[family]}", *options]
