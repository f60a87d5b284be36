"""A functional Keras model as a flat list of layer calls, in the order of computation.

See docs/decisions/flat-graphs.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from secateur.errors import ModelError
from secateur.models.layer_kinds import ALLOWED_LAYERS, instead_of

# A tensor's name within one walk: the layer, which of its calls, which of its outputs.
TensorId = tuple[str, int, int]


@dataclass(frozen=True)
class Call:
    """One call of one layer.

    Attributes:
        layer: the layer; a shared layer has several calls.
        inputs: the tensors that it reads.
        outputs: the tensors that it makes.
        input_shapes, output_shapes: shapes with None for the batch axis.
    """

    layer: Any
    inputs: tuple[TensorId, ...]
    outputs: tuple[TensorId, ...]
    input_shapes: tuple[tuple[int | None, ...], ...]
    output_shapes: tuple[tuple[int | None, ...], ...]


def calls_of(model: keras.Model) -> list[Call]:
    """All calls, each after the calls that make its inputs; input layers come first.

    Raises:
        ModelError: the model is not a built functional model, or has another model as a layer.
    """
    # Keras has no public walk over calls; its own clone_model and visualisers use these nodes too.
    depths = getattr(_functional(model), "_nodes_by_depth", None)
    if depths is None:
        raise ModelError(f"the model '{model.name}' has no graph of layers", "build it with Keras' functional API")
    calls = []
    for depth in sorted(depths, reverse=True):
        for node in depths[depth]:
            if isinstance(node.operation, keras.Model):
                raise ModelError(f"layer '{node.operation.name}' is a model inside the model", "make the graph flat")
            calls.append(_call(node))
    return calls


def outputs_of(model: keras.Model) -> list[TensorId]:
    """The tensors of the model's outputs, in order."""
    return [_tensor_id(tensor) for tensor in model.outputs]


def last_layers(model: keras.Model, wanted: Callable[[Any], bool]) -> set[str]:
    """The names of the wanted layers that lead to an output without another wanted layer between."""
    maker = {tensor: call for call in calls_of(model) for tensor in call.outputs}
    found: set[str] = set()
    seen: set[TensorId] = set()
    pending = outputs_of(model)
    while pending:
        tensor = pending.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        call = maker[tensor]
        if wanted(call.layer):
            found.add(call.layer.name)
        else:
            pending.extend(call.inputs)
    return found


def _call(node: Any) -> Call:
    return Call(
        layer=node.operation,
        inputs=tuple(_tensor_id(tensor) for tensor in node.input_tensors),
        outputs=tuple(_tensor_id(tensor) for tensor in node.outputs),
        input_shapes=tuple(tuple(tensor.shape) for tensor in node.input_tensors),
        output_shapes=tuple(tuple(tensor.shape) for tensor in node.outputs),
    )


def _tensor_id(tensor: Any) -> TensorId:
    history = tensor._keras_history
    return history.operation.name, history.node_index, history.tensor_index


def copied(
    model: keras.Model,
    layer_of: Callable[[Any], Any] | None = None,
    given: Any | None = None,
    call_of: Callable[..., Any] | None = None,
) -> keras.Model:
    """An uncompiled copy of a model's graph with new weights.

    Args:
        model: functional.
        layer_of: makes the copy of a layer; without it the layer's config is copied.
        given: another input tensor for the copy.
        call_of: calls a layer of the copy: (layer, its arguments) -> tensors; in the order of `calls_of`.
    """
    # Keras compiles the clone of a compiled model; a new model around the same graph is not compiled.
    graph = _functional(model)
    bare = keras.Model(graph.input, graph.output, name=model.name) if model.compiled or graph is not model else model
    return keras.models.clone_model(bare, input_tensors=given, clone_function=layer_of, call_function=call_of)


def _functional(model: keras.Model) -> keras.Model:
    """The functional model inside a built Sequential; any other model unchanged."""
    return getattr(model, "_functional", None) or model


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
        else:
            yield layer


def require_known_layers(model: keras.Model) -> None:
    """Every layer must be one of layer_kinds.py. Raises ModelError, naming the first that is not."""
    for layer in all_layers(model):
        require_known_layer(layer)


def require_known_layer(layer: keras.layers.Layer) -> None:
    """The layer must be one of layer_kinds.py; a class derived from one is another layer. Raises ModelError."""
    kind = type(layer).__name__
    if kind not in ALLOWED_LAYERS or getattr(keras.layers, kind, None) is not type(layer):
        raise ModelError(f"layer '{layer.name}': a {kind} cannot be read, pruned or exported", instead_of(kind))


def require_fit(model: keras.Model, classes: list[str], image_size: tuple[int, int, int], path: Path | str) -> None:
    """Require that a model takes the images and tells the classes apart.

    Args:
        model: with one input and one output.
        classes: names in index order.
        image_size: channels, height, width.
        path: of its file, for the error.

    Raises:
        ModelError: the model has another number of outputs than classes, or takes images of another size.
    """
    shape = model.output_shape
    if len(shape) != 2 or shape[-1] != len(classes):
        outputs = shape[-1] if len(shape) == 2 else f"{list(shape[1:])}"
        raise ModelError(
            f"{path}: the model has {outputs} outputs, the class map {len(classes)} classes",
            "use the model that was trained on these classes",
        )
    require_image_size(model, image_size, path)


def require_image_size(model: keras.Model, image_size: tuple[int, int, int], path: Path | str) -> None:
    """Require that a model takes images of this size (channels, height, width). Raises ModelError."""
    channels, height, width = image_size
    taken = model.input_shape[1:]
    if any(mine not in (None, given) for mine, given in zip(taken, (height, width, channels), strict=True)):
        raise ModelError(
            f"{path}: the model takes images of {_size(*taken)}, model.input_image_size is "
            f"{_size(height, width, channels)}",
            "use the input_image_size that it was trained with",
        )


def _size(height: int | None, width: int | None, channels: int | None) -> str:
    return f"{channels} channels, height {height}, width {width}"
