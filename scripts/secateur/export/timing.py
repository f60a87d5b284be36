"""Measure the latency of ONNX Runtime on this machine's CPU: one way for cards, reports, sweeps and budgets.

See docs/decisions/latency.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime

from secateur.quantization.exact import exact_options
from secateur.storage.regular_files import read_regular

PRESSURE = Path("/proc/pressure/cpu")
# A round is some calls of one network; then it is the next network's turn.
ROUND_SECONDS, MOST_CALLS = 0.01, 10
FEWEST_ROUNDS, MOST_ROUNDS = 5, 40
SECONDS_A_NETWORK = 0.7
MOST_ATTEMPTS = 4
# Limits of a quiet machine, by bench/latency.py.
MOST_WAITING, MOST_SPREAD = 0.2, 2.5
# A clock of the thread that is coarser than this cannot time a call.
FINE = 1e-5

Call = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """The milliseconds of a call of one network.

    Attributes:
        p10: the figure that is compared and that ratios are made of: the tenth percentile, over rounds, of the fastest
            call of the round. With one thread it is time on the processor, else time by the clock.
        p50, p90, p99: the milliseconds by the clock within which 50 %, 90 % and 99 % of the calls end.
    """

    p10: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Load:
    """How busy the machine was during a measurement.

    Attributes:
        waiting: the share of the time in which work that could run waited for a processor, 0 to 1: the larger of the
            kernel's figure and, with one thread, the measured thread's.
        spread: the largest p90 / p50 of the networks.
        attempts: number of measurements.
        busy: whether none of them found the machine quiet.
    """

    waiting: float
    spread: float
    attempts: int
    busy: bool


@dataclass(frozen=True)
class Measurement:
    """The timings of networks that were called in turn, and the load of the machine."""

    timings: tuple[Timing, ...]
    load: Load

    @property
    def ratios(self) -> list[float]:
        """The time of each network divided by that of the first."""
        return [timing.p10 / self.timings[0].p10 for timing in self.timings]


def kernel_waited_s() -> float | None:
    """The seconds since the start in which work waited for a processor, by the kernel; None if it does not say."""
    try:
        return int(read_regular(PRESSURE).partition(b"\n")[0].rpartition(b"total=")[2]) / 1e6
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Clocks:
    """What a measurement reads, in seconds.

    Attributes:
        wall: the time.
        thread: the time that this thread had a processor.
        waited: the time in which work waited for a processor; None if the machine does not say it.
    """

    wall: Callable[[], float] = time.perf_counter
    thread: Callable[[], float] = time.thread_time
    waited: Callable[[], float | None] = kernel_waited_s


def measured(models: Sequence[bytes], threads: int = 1, batch: int = 1, clocks: Clocks | None = None) -> Measurement:
    """The latency of each ONNX model.

    Args:
        models: serialised, with one input whose first axis is the batch.
        threads: threads of ONNX Runtime within an operator.
        batch: images per call.
        clocks: of the machine, if not others are given.
    """
    sessions = [_session(model, threads) for model in models]
    calls = [partial(session.run, None, _feed(session, batch)) for session in sessions]
    # Only with one thread the time of the calling thread is the time of the whole call.
    return in_turn(calls, threads == 1 and time.get_clock_info("thread_time").resolution <= FINE, clocks or Clocks())


def in_turn(calls: Sequence[Call], one_thread: bool, clocks: Clocks) -> Measurement:
    """Call the networks in turn, in many short rounds; on a busy machine again, up to a bound.

    Args:
        calls: one for each network.
        one_thread: whether all work of a call is done by the calling thread.
        clocks: to read.

    Returns:
        The figures of the first quiet measurement. Without one, those of all calls together.
    """
    for call in calls:
        call()
    repeats = [_calls_a_round(_seconds(call, clocks)[0]) for call in calls]
    attempts: list[_Attempt] = []
    begun, bound = clocks.wall(), MOST_ATTEMPTS * SECONDS_A_NETWORK * len(calls)
    while len(attempts) < MOST_ATTEMPTS and (not attempts or clocks.wall() - begun < bound):
        attempts.append(_attempt(calls, repeats, one_thread, clocks))
        timings = _timings(attempts[-1:], one_thread)
        waiting, spread = attempts[-1].waiting, _spread(timings)
        if waiting <= MOST_WAITING and spread <= MOST_SPREAD:
            return Measurement(timings, Load(waiting, spread, len(attempts), busy=False))
    timings = _timings(attempts, one_thread)
    waiting = sum(attempt.waiting for attempt in attempts) / len(attempts)
    return Measurement(timings, Load(waiting, _spread(timings), len(attempts), busy=True))


# Network, round, call -> seconds by the clock and on the processor.
Rounds = list[list[list[tuple[float, float]]]]


@dataclass(frozen=True)
class _Attempt:
    rounds: Rounds
    waiting: float


def _calls_a_round(seconds: float) -> int:
    return max(1, min(MOST_CALLS, int(ROUND_SECONDS / max(seconds, 1e-9))))


def _seconds(call: Call, clocks: Clocks) -> tuple[float, float]:
    on_processor, start = clocks.thread(), clocks.wall()
    call()
    wall = clocks.wall() - start
    return wall, clocks.thread() - on_processor


def _attempt(calls: Sequence[Call], repeats: Sequence[int], one_thread: bool, clocks: Clocks) -> _Attempt:
    rounds: Rounds = [[] for _ in calls]
    waited, start = clocks.waited(), clocks.wall()
    for number in range(MOST_ROUNDS):
        if number >= FEWEST_ROUNDS and clocks.wall() - start > SECONDS_A_NETWORK * len(calls):
            break
        for own, call, repeat in zip(rounds, calls, repeats, strict=True):
            call()  # the caches still have the network before
            own.append([_seconds(call, clocks) for _ in range(repeat)])
    now, passed = clocks.waited(), clocks.wall() - start
    by_kernel = 0.0 if waited is None or now is None else (now - waited) / passed
    return _Attempt(rounds, min(1.0, max(by_kernel, _own_waiting(rounds) if one_thread else 0.0)))


def _own_waiting(rounds: Rounds) -> float:
    times = np.array([pair for network in rounds for calls in network for pair in calls])
    wall, on_processor = times.sum(axis=0)
    return float(max(0.0, 1 - on_processor / wall))


def _timings(attempts: Sequence[_Attempt], one_thread: bool) -> tuple[Timing, ...]:
    networks = zip(*(attempt.rounds for attempt in attempts), strict=True)
    return tuple(_timing([calls for rounds in own for calls in rounds], one_thread) for own in networks)


def _spread(timings: Sequence[Timing]) -> float:
    return max(timing.p90 / timing.p50 for timing in timings)


def _timing(rounds: list[list[tuple[float, float]]], one_thread: bool) -> Timing:
    fastest = [min(pair[one_thread] for pair in calls) for calls in rounds]
    wall = [pair[0] for calls in rounds for pair in calls]
    return Timing(*(float(value) * 1000 for value in (np.percentile(fastest, 10), *np.percentile(wall, (50, 90, 99)))))


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
