"""The front of a sweep: Pareto, the recommended point, and what `pick` prints."""

import pandas as pd
import pytest
from secateur.cli.main import main
from secateur.cli.pick import pick
from secateur.errors import DataError, SpecError
from secateur.evaluation.pareto_front import advice, on_front, recommended
from secateur.report.pareto_figure import draw


def table():
    rows = [
        ("unpruned", 0.90, 0.00, 1000, 100),
        ("s.a", 0.91, -0.01, 600, 90),
        ("s.b", 0.895, 0.005, 300, 80),
        ("s.c", 0.85, 0.05, 250, 20),
        ("s.d", 0.84, 0.06, 400, 60),
    ]
    frame = pd.DataFrame(rows, columns=["name", "top_1", "accuracy_drop", "macs", "params"])
    frame["standard_error"], frame["latency_ratio"] = 0.02, frame["macs"] / 1000
    frame["onnx_bytes"], frame["latency_ms"] = frame["params"] * 4, frame["macs"] / 100
    for cost in ("macs", "params", "onnx_bytes", "latency_ms"):
        frame[f"front_{cost}"] = on_front(frame, cost)
    best = recommended(frame, 0.01)
    frame["recommended"] = [index == best for index in frame.index]
    return frame


def test_the_front_holds_what_nothing_beats():
    assert table()["front_macs"].tolist() == [False, True, True, True, False]
    assert table()["front_params"].tolist() == [False, True, True, True, False]
    twins = pd.DataFrame({"top_1": [0.5, 0.5], "macs": [10, 10]})
    assert on_front(twins, "macs") == [True, True]


def test_the_recommended_point_is_the_cheapest_within_the_drop():
    assert table().loc[recommended(table(), 0.01), "name"] == "s.b"
    assert table().loc[recommended(table(), 0.0), "name"] == "s.a"
    assert table().loc[recommended(table(), 1.0, "params"), "name"] == "s.c"
    assert recommended(table()[3:], 0.01) is None
    assert "smallest loss is 0.050" in advice(table().drop(index=[1, 2]), 0.01)


def test_pick_prints_it(tmp_path, capsys):
    folder = tmp_path / "results/sweeps/s"
    folder.mkdir(parents=True)
    table().to_csv(folder / "pareto.csv", index=False)
    text = pick("s", 0.01, "macs", tmp_path / "results")
    assert text.startswith("recommended: s.b")
    assert "MACs 300 (30.0% kept)" in text
    assert pick(str(folder), None, "macs").startswith("recommended: s.b\n  top-1 0.8950")
    assert "multiply-accumulates of all points that lose at most 0.01" in text
    assert main(["pick", str(folder / "pareto.csv"), "--max-drop", "0.06", "--by", "params"]) == 0
    assert "recommended: s.c" in capsys.readouterr().out
    with pytest.raises(SpecError, match=r"every point loses more than -1\.000"):
        pick(str(folder), -1, "macs")
    table().assign(recommended=False).to_csv(folder / "pareto.csv", index=False)
    with pytest.raises(SpecError, match="no point met the max_accuracy_drop"):
        pick(str(folder), None, "macs")
    with pytest.raises(DataError, match="there is no sweep 'other'"):
        pick("other", 0.01, "macs", tmp_path / "results")
    (folder / "pareto.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column name, recommended, top_1"):
        pick(str(folder), 0.01, "macs")


@pytest.mark.parametrize(
    ("column", "value"),
    [("macs", 0), ("params", -1), ("latency_ms", float("inf")), ("onnx_bytes", 0.0), ("top_1", float("-inf"))],
)
def test_a_table_with_numbers_that_nothing_can_have_is_refused(tmp_path, column, value):
    frame = table().astype({column: float})
    frame.loc[1, column] = value
    frame.to_csv(tmp_path / "pareto.csv", index=False)
    with pytest.raises(DataError, match=f"is damaged: values of {column}"):
        pick(str(tmp_path / "pareto.csv"), 0.01, "macs")


def test_the_figure_is_a_picture_of_every_cost(tmp_path):
    draw(table(), tmp_path, "s", 0.01)
    svg = (tmp_path / "pareto.svg").read_text()
    assert svg.count('<g id="axes_') == 4
    assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")
