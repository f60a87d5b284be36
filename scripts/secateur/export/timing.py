"""Measure the latency of ONNX Runtime on this machine's CPU.

See docs/decisions/latency.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from secateur.quantization.exact import exact_options

RUNS_A_ROUND = 10
ROUNDS = 7
# Number of rounds for percentiles, and the time that all of them may take.
MOST_ROUNDS, FEWEST_ROUNDS, SECONDS = 40, 3, 4.0


@dataclass(frozen=True)
class Percentiles:
    """The milliseconds within which 50 %, 90 % and 99 % of the calls end."""

    p50: float
    p90: float
    p99: float


def latency_ms(model: bytes, threads: int = 1, batch: int = 1) -> float:
    """The milliseconds of one call; see `latencies_ms`."""
    return latencies_ms([model], threads, batch)[0]


def latencies_ms(models: Sequence[bytes], threads: int = 1, batch: int = 1) -> list[float]:
    """The milliseconds of one call of each ONNX model. The models are called in turn, so that load hits all alike.

    Args:
        models: serialised, with one input whose first axis is the batch.
        threads: threads of ONNX Runtime within an operator.
        batch: images per call.

    Returns:
        For each model the median over 7 rounds of the fastest of 10 calls.
    """
    sessions = [_session(model, threads) for model in models]
    feeds = [_feed(session, batch) for session in sessions]
    fastest: list[list[float]] = [[] for _ in models]
    for session, feed in zip(sessions, feeds, strict=True):
        session.run(None, feed)
    for _ in range(ROUNDS):
        for times, session, feed in zip(fastest, sessions, feeds, strict=True):
            times.append(min(_timed(session, feed) for _ in range(RUNS_A_ROUND)))
    return [statistics.median(times) * 1000 for times in fastest]


def percentiles_ms(models: Sequence[bytes], threads: int, batch: int) -> list[Percentiles]:
    """The percentiles of the time per call of each ONNX model, called in turn. Arguments as in `latencies_ms`."""
    sessions = [_session(model, threads) for model in models]
    feeds = [_feed(session, batch) for session in sessions]
    pairs = list(zip(sessions, feeds, strict=True))
    for session, feed in pairs:
        session.run(None, feed)
    once = sum(_timed(session, feed) for session, feed in pairs)
    rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(SECONDS / max(once * RUNS_A_ROUND, 1e-6))))
    times: list[list[float]] = [[] for _ in models]
    for _ in range(rounds):
        for own, (session, feed) in zip(times, pairs, strict=True):
            own.extend(_timed(session, feed) for _ in range(RUNS_A_ROUND))
    return [Percentiles(*(float(value) * 1000 for value in np.percentile(own, (50, 90, 99)))) for own in times]


def _session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = exact_options()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _feed(session: onnxruntime.InferenceSession, batch: int) -> dict[str, np.ndarray]:
    (given,) = session.get_inputs()
    shape = [batch, *given.shape[1:]]
    rng = np.random.default_rng(0)
    if given.type == "tensor(float)":
        return {given.name: rng.normal(size=shape).astype(np.float32)}
    return {given.name: rng.integers(0, 256, shape).astype(np.uint16 if "16" in given.type else np.uint8)}


def _timed(session: onnxruntime.InferenceSession, feed: dict[str, np.ndarray]) -> float:
    start = time.perf_counter()
    session.run(None, feed)
    return time.perf_counter() - start
