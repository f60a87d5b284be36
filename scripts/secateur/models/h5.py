"""Read weights by layer name from the HDF5 files that Keras writes, as data only."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from secateur.errors import UntrustedModelError

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# Exceptions of h5py for a damaged HDF5 file; RecursionError is a RuntimeError.
HDF5_ERRORS = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError, MemoryError)
MAX_DEPTH, MAX_OBJECTS = 32, 200_000
# Weights hardly compress: a larger factor means a decompression bomb.
MAX_COMPRESSION = 100


@dataclass
class NamedWeights:
    """Attributes:
    layers: layer name -> its weights, in the order of `layer.get_weights()`.
    names: of all layers in the file, also those without weights; empty if the file does not list them.
    """

    layers: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


def read_named_weights(content: bytes, path: Path | str) -> NamedWeights:
    """Read a `.weights.h5` of Keras 3, or the weights of an `.h5` of Keras 2 and of keras.applications.

    Args:
        content: the file.
        path: its name, for errors.

    Raises:
        UntrustedModelError: the file has links to other files, virtual or external data, data that is smaller than
            declared, or something other than numbers (such as CVE-2026-1669 and CVE-2026-0897).
    """
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            _check_group(file, path)
            root = file.get("model_weights", file)
            return _of_keras_2(root) if "layer_names" in root.attrs else _of_keras_3(file)
    except HDF5_ERRORS as error:
        raise UntrustedModelError(f"{path}: not a weights file of Keras ({error})", "save it with Keras 3") from error


def _check_group(root: Any, path: Path | str) -> None:
    pending, seen = [(root, 0)], 0
    places: set[int] = set()
    while pending:
        group, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise _refused(path, group.name, "groups nested too deeply")
        for name in group:
            seen += 1
            if seen > MAX_OBJECTS:
                raise _refused(path, group.name, "too many objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _refused(path, f"{group.name}/{name}", "a link to another place")
            member = group[name]
            # Each further name of the same data would be read as more data.
            place = h5py.h5o.get_info(member.id).addr
            if place in places:
                raise _refused(path, f"{group.name}/{name}", "a second name for data that has one")
            places.add(place)
            if isinstance(member, h5py.Group):
                pending.append((member, depth + 1))
            else:
                _check_dataset(member, path)


def _check_dataset(data: Any, path: Path | str) -> None:
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "fiub":
        raise _refused(path, data.name, "something other than numbers")
    if data.is_virtual or data.external:
        raise _refused(path, data.name, "data that is stored in another file")
    if data.nbytes > MAX_COMPRESSION * data.id.get_storage_size():
        raise _refused(path, data.name, f"data of {data.nbytes} bytes that the file does not hold")


def _refused(path: Path | str, name: str, what: str) -> UntrustedModelError:
    return UntrustedModelError(f"{path}: '{name}' is {what}", "do not trust this file")


def _of_keras_3(file: Any) -> NamedWeights:
    found = NamedWeights()
    for group in _variable_groups(file):
        name = group.attrs.get("name")
        if not isinstance(name, str):
            continue
        found.names.add(name)
        arrays = [group[key][()] for key in sorted((key for key in group if key.isdigit()), key=int)]
        if arrays:
            found.layers[name] = arrays
    return found


def _variable_groups(group: Any) -> Iterator[Any]:
    """The `vars` groups of all layers, without the seeds of dropout layers and the variables of the optimizer."""
    for name, member in group.get("layers", {}).items():
        del name
        if "vars" in member:
            yield member["vars"]
        if "layers" in member:
            yield from _variable_groups(member)


def _of_keras_2(root: Any) -> NamedWeights:
    found = NamedWeights()
    for name in map(_text, root.attrs["layer_names"]):
        found.names.add(name)
        keys = [_text(key) for key in root[name].attrs["weight_names"]]
        if keys:
            found.layers[name] = [root[name][key][()] for key in keys]
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def require_finite(weights: dict[str, list[NDArray[Any]]], path: Path | str) -> None:
    """Raise UntrustedModelError with the layer's name if a weight is NaN or infinite."""
    for name, arrays in weights.items():
        if not all(np.isfinite(array).all() for array in arrays):
            raise UntrustedModelError(f"{path}: layer '{name}' holds NaN or infinite weights", "train it again")
