"""Make ONNX Runtime compute integers on a CPU exactly."""

from __future__ import annotations

import onnxruntime

from secateur.runtime.threads import limited

# Of ONNX Runtime's session options; documented with its quantisation.
PRECISION = "session.x64quantprecision"


def exact_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Options with which no sum of two products is cut off at 16 bits.

    On an x86 CPU without VNNI ONNX Runtime multiplies uint8 by int8 with VPMADDUBSW, which saturates: answers of an
    int8 network are then several times as far from those of its training. Where there is VNNI this changes nothing.

    Args:
        threads: of the session; None: one for each core.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(PRECISION, "1")
    return limited(options, threads)
