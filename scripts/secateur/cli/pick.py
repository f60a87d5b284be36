"""The command `secateur pick`: it prints the cheapest point of a finished sweep."""

from __future__ import annotations

from pathlib import Path

from secateur.errors import DataError, SpecError
from secateur.evaluation.pareto_front import advice, described, none_within, read_pareto, recommended
from secateur.step_table import COMMON_STEPS
from secateur.workflow.experiments import RESULTS

PARETO = COMMON_STEPS["pareto"]


def pick(name: str, max_drop: float | None, cost: str, results: Path = RESULTS) -> str:
    """The text that `secateur pick` prints.

    Args:
        name: of the sweep, or the path of its folder or table.
        max_drop: largest loss of top-1 accuracy; None: the point that the sweep itself recommends, by MACs.
        cost: a key of COSTS.
        results: root folder of the results.

    Raises:
        ArtifactError, DataError: there is no table, or it is damaged.
        SpecError: every point loses more.
    """
    given = Path(name)
    candidates = [given, given / PARETO.files["table"], results / PARETO.path("table").format(sweep=name)]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise DataError(f"there is no sweep '{name}': no file {candidates[-1]}", "run snakemake with the sweep first")
    table = read_pareto(path)
    hint = "allow a larger --max-drop, or add milder values to the sweep"
    if max_drop is None:
        chosen = table[table["recommended"]]
        if chosen.empty:
            raise SpecError("no point met the max_accuracy_drop of this sweep", hint)
        return f"recommended: {described(table, int(chosen.index[0]))}"
    if recommended(table, max_drop, cost) is None:
        raise SpecError(none_within(table, max_drop), hint)
    return advice(table, max_drop, cost)
