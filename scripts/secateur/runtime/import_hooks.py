"""Skip imports that libraries make at their start and that this package does not need.

See docs/decisions/imports.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# Module -> package that it imports for functions that are not used here. The module works without the package, as if
# that were not installed.
UNUSED = {
    "keras.src.callbacks.orbax_checkpoint": "jax",
    "keras.src.visualization.plot_bounding_box_gallery": "matplotlib",
    "keras.src.visualization.plot_image_gallery": "matplotlib",
    "keras.src.wrappers.fixes": "sklearn",
    "keras.src.wrappers.sklearn_wrapper": "sklearn",
    "tensorflow.lite.python.util": "jax",
}


def skip_unused_imports() -> None:
    """Let Keras and TensorFlow be imported without the packages in `UNUSED`.

    The import then takes two thirds of the time, and 90 to 200 MB less (bench/imports.py). The packages themselves can
    still be imported, before and after.
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
    """Hide packages while another one is imported: None in `sys.modules` makes their import fail."""
    sys.modules[unused] = None  # type: ignore[assignment]
    try:
        execute(module)
    finally:
        del sys.modules[unused]


_FINDER = _Finder()
