"""Latency: what the figure is, when a machine counts as busy, and what pages say then. Time is made by the tests."""

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from secateur.evaluation.latency_figures import BUSY, caution, figure_ms, remark
from secateur.evaluation.pareto_front import BUSY_COLUMN, described, read_pareto
from secateur.export import timing
from secateur.export.timing import MOST_ATTEMPTS, MOST_ROUNDS, Clocks, in_turn, measured
from secateur.report.pareto_figure import draw
from secateur.steps.latency import cases_of

# Seconds after which the kernel may give the processor to other work, and for how long.
SLOT, SLICE = 0.002, 0.004


@pytest.fixture(autouse=True)
def as_in_the_product(monkeypatch):
    """Other tests of a session shorten it."""
    monkeypatch.setattr(timing, "SECONDS_A_NETWORK", 0.7)


class Machine:
    """A machine whose time passes only while a network runs.

    Args:
        loads: share of a processor that other work takes, one for each second of the machine's time; the last stays.
        kernel: whether the kernel tells how long work waited.
    """

    def __init__(self, loads=(0.0,), kernel=True):
        self.loads, self.kernel = loads, kernel
        self.now = self.ran = self.waited = 0.0
        self.order = []
        self.rng = np.random.default_rng(0)

    def call(self, name, seconds):
        """A network that needs so many seconds of a processor."""

        def run():
            self.order.append(name)
            load = self.loads[min(int(self.now), len(self.loads) - 1)]
            # A long call is always interrupted, a short one seldom: that is what makes ratios wrong.
            slices = self.rng.binomial(max(1, round(seconds / SLOT)), load * min(1, seconds / SLOT))
            self.ran += seconds
            self.now += seconds + slices * SLICE
            self.waited += slices * SLICE

        return run

    @property
    def clocks(self):
        return Clocks(lambda: self.now, lambda: self.ran, lambda: self.waited if self.kernel else None)


def found(machine, one_thread=True, seconds=(0.01, 0.0005)):
    return in_turn(
        [machine.call(name, each) for name, each in zip("ab", seconds, strict=True)], one_thread, machine.clocks
    )


def test_a_quiet_machine_is_measured_once():
    machine = Machine()
    result = found(machine)
    assert (result.load.attempts, result.load.busy, result.load.waiting) == (1, False, 0.0)
    assert result.timings[0].p10 == pytest.approx(10)
    assert result.ratios == pytest.approx([1, 0.05])
    assert machine.order.count("a") < 2 * MOST_ROUNDS + 5


def test_networks_are_called_in_turn_and_the_first_call_of_a_turn_does_not_count():
    machine = Machine()
    found(machine)
    text = "".join(machine.order)
    assert text.startswith("ab" + "ab" + "aa" + "b" * 11 + "aa"), "prepared, estimated, then rounds"
    late = {"a": 0.0}
    slow = Machine()

    def cold():
        slow.call("a", 0.01 if late["a"] == slow.order.count("b") else 0.03)()
        late["a"] = slow.order.count("b")

    result = in_turn([cold, slow.call("b", 0.01)], True, slow.clocks)
    assert result.timings[0].p99 == pytest.approx(10), "the first call after another network finds cold caches"


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_under_load_the_ratio_stays_and_the_load_is_known(load):
    """The medians of such a machine give 0.01 to 0.03 instead of 0.05."""
    result = found(Machine([load]))
    assert result.ratios[1] == pytest.approx(0.05, rel=0.15)
    assert result.timings[1].p50 / result.timings[0].p50 < 0.04
    assert (result.load.attempts, result.load.busy) == (MOST_ATTEMPTS, True)


def test_it_measures_again_until_the_machine_is_quiet():
    result = found(Machine([0.9] * 2 + [0.0]))
    assert 1 < result.load.attempts <= MOST_ATTEMPTS
    assert not result.load.busy
    assert result.timings[0].p99 == pytest.approx(10), "nothing of the busy attempts is left"


def test_a_slow_network_is_not_measured_again_for_minutes():
    machine = Machine([0.9])
    result = found(machine, seconds=(3.0, 1.0))
    assert result.load.busy
    assert result.load.attempts == 1
    assert len(machine.order) < 30


def test_without_the_kernels_figure_one_thread_knows_its_own_waiting():
    assert found(Machine([0.9], kernel=False)).load.busy
    assert not found(Machine([0.0], kernel=False)).load.busy


def test_with_several_threads_the_kernels_figure_or_the_spread_tells():
    """The time of the calling thread says nothing then, so the clock counts."""
    busy = found(Machine([0.9]), one_thread=False)
    assert busy.load.busy
    assert busy.timings[0].p10 > 11
    bursts = Machine([0.0] * 5, kernel=False)
    calls = iter(range(10**9))

    def now_and_then():
        bursts.call("a", 0.05 if next(calls) % 5 == 0 else 0.001)()

    spread = in_turn([now_and_then], False, bursts.clocks)
    assert spread.load.waiting == 0
    assert spread.load.spread > timing.MOST_SPREAD
    assert spread.load.busy


def test_the_kernels_file_is_read_or_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "PRESSURE", tmp_path / "cpu")
    assert timing.kernel_waited_s() is None
    (tmp_path / "cpu").write_text("some avg10=0.35 avg60=0.96 avg300=5.56 total=29725620052\nfull avg10=0.00 total=0\n")
    assert timing.kernel_waited_s() == pytest.approx(29725.620052)
    (tmp_path / "cpu").write_text("other words\n")
    assert timing.kernel_waited_s() is None


def identity(size):
    shape = ["batch", size]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


@pytest.mark.parametrize("threads", [1, 2])
def test_real_networks_are_measured(threads):
    result = measured([identity(64), identity(65536)], threads)
    for one in result.timings:
        assert 0 < one.p50 <= one.p90 <= one.p99
        assert one.p10 > 0
    assert result.ratios[0] == 1
    assert 0 <= result.load.waiting <= 1
    assert 1 <= result.load.attempts <= MOST_ATTEMPTS


def cases(load):
    return cases_of(["unpruned fp32", "exported fp32"], 1, 1, found(Machine([load])))


def test_what_pages_say_of_a_busy_machine():
    busy, quiet = cases(0.9), cases(0.0)
    assert remark(busy[0]) == f" ({BUSY})"
    assert caution([*busy, *quiet]).startswith(
        "Measured on a busy machine: 2 of 4 rows, although each was measured up to"
    )
    assert remark(quiet[0]) == caution(quiet) == ""
    assert figure_ms(quiet[0]) == quiet[0]["p10_ms"] == pytest.approx(10)


def test_a_file_of_an_older_version_has_the_median_only():
    old = {"network": "exported fp32", "p50_ms": 2.0, "p90_ms": 3.0, "p99_ms": 4.0, "ratio": 1.0}
    assert (figure_ms(old), remark(old), caution([old])) == (2.0, "", "")


def front(busy):
    rows = [("unpruned", 0.9, 0.0, 4.0, 1.0, busy), ("s.a", 0.9, 0.0, 1.0, 0.25, False)]
    names = ["name", "top_1", "accuracy_drop", "latency_ms", "latency_ratio", BUSY_COLUMN]
    table = pd.DataFrame(rows, columns=names).assign(standard_error=0.01, macs=5, params=5, onnx_bytes=5)
    table["recommended"] = [False, True]
    return table.assign(**{f"front_{cost}": True for cost in ("macs", "params", "onnx_bytes", "latency_ms")})


def test_a_sweep_says_it_in_its_words_and_its_figure(tmp_path):
    assert BUSY in described(front(True), 1), "the unpruned network is the other half of the ratio"
    assert BUSY not in described(front(False), 1)
    for busy in (True, False):
        draw(front(busy), tmp_path, "s", 0.01)
        assert ((tmp_path / "pareto.svg").read_text().count(BUSY) == 1) is busy


def test_a_sweep_of_an_older_version_is_read(tmp_path):
    front(True).to_csv(tmp_path / "new.csv", index=False)
    front(True).drop(columns=BUSY_COLUMN).to_csv(tmp_path / "old.csv", index=False)
    assert read_pareto(tmp_path / "new.csv")[BUSY_COLUMN].tolist() == [True, False]
    assert read_pareto(tmp_path / "old.csv")[BUSY_COLUMN].tolist() == [False, False]
