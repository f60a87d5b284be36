"""Imports that libraries make at their start and nothing here needs.

See docs/decisions/imports.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# What imports whom for functions that are never called here; each goes on without, as where it is not installed.
UNUSED = {
    "keras.src.callbacks.orbax_checkpoint": "jax",
    "keras.src.visualization.plot_bounding_box_gallery": "matplotlib",
    "keras.src.visualization.plot_image_gallery": "matplotlib",
    "keras.src.wrappers.fixes": "sklearn",
    "keras.src.wrappers.sklearn_wrapper": "sklearn",
    "tensorflow.lite.python.util": "jax",
}


def skip_unused_imports() -> None:
    """Import Keras and TensorFlow from now on without what `UNUSED` names.

    That takes two thirds of the time and 90 to 200 MB less (bench/imports.py). The packages themselves can be imported
    as ever, before and after.
    """
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        unused = UNUSED.get(name)
        if unused is None or unused in sys.modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(_without, unused, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _without(unused: str, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    """None in `sys.modules` makes an import of that name an ImportError."""
    sys.modules[unused] = None  # type: ignore[assignment]
    try:
        execute(module)
    finally:
        del sys.modules[unused]


_FINDER = _Finder()
