"""Choose how TensorFlow computes on a CPU.

See docs/decisions/keras-backends.md.
"""

from __future__ import annotations

import platform
from collections.abc import MutableMapping

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def use_onednn(environment: MutableMapping[str, str]) -> None:
    """Let TensorFlow use oneDNN's kernels on every x86 CPU, unless the user has set it.

    By default it uses them only on CPUs with instructions for neural networks (AVX-512 VNNI, AMX). On other CPUs
    training without them takes 1.7 to 3.2 times as long (bench/cpu.py). Call this before the import of TensorFlow,
    which reads the setting.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        environment.setdefault(ONEDNN, "1")
