"""Set the number of threads with which the libraries of a step compute.

See docs/decisions/threads.md.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

# Variables that libraries read when they start: TensorFlow two, then oneDNN and NumPy's OpenBLAS, OpenCV, JAX on a CPU.
VARIABLES = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "NPROC",
)


def use_threads(count: int, environment: MutableMapping[str, str]) -> None:
    """Have the libraries compute with `count` threads, unless the user has said otherwise.

    To be called before they are imported. ONNX Runtime reads no variable: see `limited`.
    """
    for name in VARIABLES:
        environment.setdefault(name, str(count))


def limited(options: onnxruntime.SessionOptions, threads: int | None) -> onnxruntime.SessionOptions:
    """Session options of ONNX Runtime with this number of threads; None: one for each core of the machine."""
    if threads is not None:
        options.intra_op_num_threads = threads
    return options
