"""Rules for the config of a network in a file of a stranger, checked on plain data before Keras builds anything.

Each rule has its reason in docs/decisions/untrusted-models.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from secateur.errors import UntrustedModelError
from secateur.models.layer_kinds import ALLOWED_LAYERS, ALLOWED_PARTS, instead_of

Shapes = dict[str, list[tuple[int, ...]]]

MAX_PARTS = 50_000
# Calls of layers. The largest network of Keras Applications has 1,041 layers; at this limit Keras takes some seconds.
MAX_CALLS = 3_000
# Sides of images, kernels, windows and steps. Libraries compute with 32 bits, and fail where a product is larger.
MAX_SIDE = 65_536
# Any other number: seeds have 32 bits, and nothing else is larger.
MAX_INTEGER = 2**32 - 1
SIDES = ("kernel_size", "strides", "pool_size", "dilation_rate", "padding", "output_padding", "cropping", "size")
# An address in the memory of the program that saved the file.
SHARED = "shared_object_id"
MODEL = "Functional"
# Objects in a layer's config can be any class of these modules, which hold numbers only.
ALLOWED_MODULES = ("keras.initializers", "keras.regularizers", "keras.dtype_policies")
LAYER_MODULES = ("keras.layers", "keras.src.models.functional", "keras.models", "keras")
# Layers of texts, integers and quantised numbers can be built, and fail when an image goes through them.
ALLOWED_DTYPES = (None, "float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16")
INITIALIZER = "_initializer"
ZEROS: dict[str, Any] = {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None}
TRUST = "do not trust it"


def check_config(path: Path | str, config: dict[str, Any]) -> None:
    """Require one functional model of plain layers, with values that a network can have.

    Args:
        path: of the file, for errors.
        config: of the model, as JSON data.

    Raises:
        UntrustedModelError: it holds something else.
        RecursionError, AttributeError, TypeError, KeyError: it has another form.
    """
    parts = list(_objects(config))
    if len(parts) > MAX_PARTS:
        raise UntrustedModelError(f"{path}: more than {MAX_PARTS} parts", TRUST)
    for part in parts:
        _check_class(path, part)
    if config.get("class_name") != MODEL:
        raise UntrustedModelError(
            f"{path}: the file holds no network, but '{config.get('class_name')}'", "save a whole keras.Model"
        )
    _check_calls(path, config, sum(part["class_name"] == MODEL for part in parts))
    for key, value in _entries(config):
        _check_number(path, key, value)
    for part in parts:
        _check_dtype(path, part)


def _check_class(path: Path | str, part: dict[str, Any]) -> None:
    name, module = part.get("class_name"), part.get("module") or ""
    known_object = module in ALLOWED_MODULES
    known_layer = (name in ALLOWED_LAYERS or name in ALLOWED_PARTS) and module in LAYER_MODULES
    history = name in ("__keras_tensor__", "__tuple__")
    custom = part.get("registered_name") not in (None, name)
    if custom or not (known_object or known_layer or history):
        raise _no_plain_layer(path, part)


def _no_plain_layer(path: Path | str, part: dict[str, Any]) -> UntrustedModelError:
    kind, module, options = part.get("class_name"), part.get("module"), part.get("config")
    label = options.get("name") if isinstance(options, dict) else None
    holder = f"layer '{label}' is" if isinstance(label, str) else "it holds"
    return UntrustedModelError(f"{path}: {holder} '{module}.{kind}', which is not a plain layer", instead_of(str(kind)))


def _check_calls(path: Path | str, config: dict[str, Any], models: int) -> None:
    calls, met = _calls_of(config)
    if met != models:
        raise UntrustedModelError(f"{path}: holds a model as an option of a layer", TRUST)
    if calls > MAX_CALLS:
        raise UntrustedModelError(f"{path}: the network calls its layers more than {MAX_CALLS} times", TRUST)


def _calls_of(model: dict[str, Any]) -> tuple[int, int]:
    """The calls of layers that building a model makes, and the models in it.

    The layers of a model inside the model are called each time when that model is called.
    """
    calls, models = 0, 1
    for layer in model["config"]["layers"]:
        inner, more = _calls_of(layer) if layer["class_name"] == MODEL else (1, 0)
        calls += (len(layer.get("inbound_nodes") or ()) + (more > 0) or 1) * inner
        models += more
    return calls, models


def _check_number(path: Path | str, key: str, value: Any) -> None:
    largest = MAX_SIDE if key in SIDES else MAX_INTEGER
    if isinstance(value, int) and abs(value) > largest and key != SHARED:
        raise UntrustedModelError(f"{path}: '{key}' has a number above {largest}", TRUST)
    if isinstance(value, float) and not math.isfinite(value):
        raise UntrustedModelError(f"{path}: '{key}' is {value}", "save a network of finite numbers")


def _check_dtype(path: Path | str, part: dict[str, Any]) -> None:
    options = part.get("config") or {}
    wanted = options.get("dtype") if isinstance(options, dict) else None
    if isinstance(wanted, dict):
        wanted = (wanted.get("config") or {}).get("name", wanted.get("class_name"))
    if not (wanted is None or isinstance(wanted, str)) or wanted not in ALLOWED_DTYPES:
        raise UntrustedModelError(
            f"{path}: '{options.get('name', part['class_name'])}' computes with {wanted}",
            f"use layers and inputs of {', '.join(filter(None, ALLOWED_DTYPES))}",
        )


def check_sizes(path: Path | str, config: dict[str, Any], shapes: Shapes) -> None:
    """Require that the config declares the sizes of the weights: Keras allocates what the config declares.

    Args:
        path: of the file, for errors.
        config: checked with `check_config`.
        shapes: of the weights, by layer name.

    Raises:
        UntrustedModelError: it declares another size.
    """
    for part in _objects(config):
        options = part.get("config") or {}
        if not isinstance(options, dict):
            continue
        width, name = options.get("filters", options.get("units")), options.get("name")
        if width is not None and _stored_width(part.get("class_name"), shapes.get(str(name), [])) != width:
            raise UntrustedModelError(
                f"{path}: layer '{name}' declares {width} filters, its weights have the shapes {shapes.get(str(name))}",
                TRUST,
            )
        for side in options.get("batch_shape") or ():
            if side is not None and not 0 < side <= MAX_SIDE:
                raise UntrustedModelError(f"{path}: input '{name}' has a dimension of {side}", TRUST)


def _stored_width(kind: Any, shapes: list[tuple[int, ...]]) -> int | None:
    """The number of filters of a layer's stored kernel; None without a kernel."""
    place = 1 if kind == "SeparableConv2D" else 0
    kernel = shapes[place] if len(shapes) > place else ()
    if len(kernel) < 2:
        return None
    return kernel[-2] if kind == "Conv2DTranspose" else kernel[-1]


def for_stored_weights(config: Any) -> Any:
    """The config without what only a new or compiled network needs: weights follow, and nothing must be computed.

    An orthogonal initializer takes seconds for a layer, and its time grows with the cube of the layer's width. It would
    run again in each copy of the network.
    """
    if isinstance(config, list):
        return [for_stored_weights(value) for value in config]
    if not isinstance(config, dict):
        return config
    return {
        name: None if name == "compile_config" else ZEROS if name.endswith(INITIALIZER) else for_stored_weights(value)
        for name, value in config.items()
    }


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """All parts of a config that Keras would turn into objects."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _entries(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """All plain values of a config, each with the key that it or its list has."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _entries(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner, key)
    else:
        yield key, value
