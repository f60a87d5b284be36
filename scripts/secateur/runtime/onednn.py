"""How TensorFlow computes on a CPU.

See docs/decisions/keras-backends.md.
"""

from __future__ import annotations

import platform
from collections.abc import MutableMapping

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def use_onednn(environment: MutableMapping[str, str]) -> None:
    """Have TensorFlow use oneDNN's kernels on every x86 CPU, unless the user has said otherwise.

    By itself it does so only where the CPU has instructions made for neural networks (AVX-512 VNNI, AMX); on
    others training takes 1.7 to 3.2 times as long without (bench/cpu.py). It reads the setting while it is imported, so
    call this before.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        environment.setdefault(ONEDNN, "1")
