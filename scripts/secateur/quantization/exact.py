"""Make ONNX Runtime compute integers on a CPU exactly."""

from __future__ import annotations

import onnxruntime

from secateur.runtime.threads import limited

# A session option of ONNX Runtime; its page about quantisation documents it.
PRECISION = "session.x64quantprecision"


def exact_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Session options with which no sum of two products is clipped to 16 bits.

    On an x86 CPU without VNNI, ONNX Runtime multiplies uint8 by int8 with VPMADDUBSW, which saturates. The answers of
    an int8 network then differ several times as much from those in training. On a CPU with VNNI nothing changes.

    Args:
        threads: of the session; None: one for each core.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(PRECISION, "1")
    return limited(options, threads)
