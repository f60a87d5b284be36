"""The rows of `compare.py` as tables, written into README.md between its marks: share of right answers over all seeds,
with standard errors.

    .venv/bin/python bench/pruning/table.py

A pair of marks is `<!-- compare-ARCH.csv: NAME -->` and `<!-- end -->`; NAME begins the headings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
MARKED = re.compile(r"(<!-- (?P<file>[\w.-]+\.csv): (?P<name>.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
BUDGETS = (0.75, 0.5, 0.25, 0.1)
USUAL_RATE = 0.001
KEYS = ["importance", "ranking", "steps", "learning_rate"]


def main() -> None:
    """Write the tables of every marked file again."""
    readme = HERE / "README.md"
    readme.write_text(MARKED.sub(_marked, readme.read_text()))


def _marked(found: re.Match[str]) -> str:
    rows = pd.read_csv(HERE / found["file"], keep_default_na=False)
    unpruned = "; ".join(_unpruned(rows[rows["importance"] == "none"])) + "\n"
    tables = (f"### {found['name']}: {title}\n\n{table(chosen)}" for title, chosen in _kinds(rows) if len(chosen))
    return found[1] + "\n" + "\n".join([unpruned, *tables]) + "\n" + found[4]


def _unpruned(rows: pd.DataFrame) -> Iterator[str]:
    last = rows[rows["epochs"] == rows["after_epochs"]]
    for (epochs, rate), chosen in last.groupby(["epochs", "learning_rate"]):
        more = f"after {epochs} epochs more, learning rate {rate:g}" if epochs else "Unpruned"
        yield f"{more}: {share(chosen)}"


def _kinds(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """What each table shows, and its rows."""
    cut = rows[(rows["epochs"] == 0) & (rows["importance"] != "none")]
    yield "right after the cut, statistics of batch normalisations as they were", cut[~cut["recalibrated"]]
    yield "right after the cut, statistics measured again", cut[cut["recalibrated"]]
    trained = rows[(rows["epochs"] > 0) & (rows["importance"] != "none")]
    trained = trained.assign(other=trained["learning_rate"] != USUAL_RATE)
    for (other, epochs, after, distilled), chosen in trained.groupby(["other", "epochs", "after_epochs", "distilled"]):
        rates = ", other learning rates" if other else ""
        yield f"after {after} of {epochs} epochs, {'with' if distilled else 'without'} a teacher{rates}", chosen


def table(rows: pd.DataFrame) -> str:
    """Markdown: a method a line, a budget a column."""
    lines = ["| importance | ranking | " + " | ".join(f"{budget:.0%} of the MACs" for budget in BUDGETS) + " |"]
    lines.append("|---|---|" + "--:|" * len(BUDGETS))
    for (importance, ranking, steps, rate), own in rows.groupby(KEYS):
        cells = [share(own[own["budget"] == budget]) for budget in BUDGETS]
        more = [f"{steps} steps"] * (steps > 1) + [f"learning rate {rate:g}"] * (rate not in (0, USUAL_RATE))
        lines.append("| " + " | ".join([importance, ", ".join([ranking, *more]), *cells]) + " |")
    return "\n".join(lines) + "\n"


def share(rows: pd.DataFrame) -> str:
    """Mean over the seeds, its standard error from the number of images, and how many seeds."""
    if rows.empty:
        return ""
    right, images = rows["right"].sum(), rows["images"].sum()
    mean = right / images
    # The seeds share their images, so one seed's standard error is not made smaller by the others.
    error = math.sqrt(mean * (1 - mean) / rows["images"].iloc[0])
    return f"{mean:.3f} ± {error:.3f} ({rows['seed'].nunique()})"


if __name__ == "__main__":
    main()
