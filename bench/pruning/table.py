"""The rows of `compare.py` as tables: share of right answers over all seeds, with standard errors.

.venv/bin/python bench/pruning/table.py bench/pruning/compare-resnet_18.csv
"""

from __future__ import annotations

import math
import sys

import pandas as pd

BUDGETS = (0.75, 0.5, 0.25, 0.1)
KEYS = ["importance", "ranking"]


def main() -> None:
    """Print a table for each kind of cell."""
    rows = pd.read_csv(sys.argv[1], keep_default_na=False)
    base = rows[rows["importance"] == "none"]
    print(f"Unpruned: {share(base)}\n")
    cut = rows[rows["epochs"] == 0]
    print("Right after the cut, statistics of batch normalisations as they were\n\n", table(cut[~cut["recalibrated"]]))
    print("Right after the cut, statistics measured anew\n\n", table(cut[cut["recalibrated"]]))
    for epochs in (4, 20):
        trained = rows[rows["epochs"] == epochs]
        for after in sorted(trained["after_epochs"].unique()):
            for distilled in (False, True):
                chosen = trained[(trained["after_epochs"] == after) & (trained["distilled"] == distilled)]
                if len(chosen):
                    teacher = "with" if distilled else "without"
                    print(f"After {after} of {epochs} epochs, {teacher} a teacher\n\n", table(chosen))


def table(rows: pd.DataFrame) -> str:
    """Markdown: a method a line, a budget a column."""
    lines = ["| importance | ranking | " + " | ".join(f"{budget:.0%} of the MACs" for budget in BUDGETS) + " |"]
    lines.append("|---|---|" + "--:|" * len(BUDGETS))
    for method, own in rows[rows["importance"] != "none"].groupby(KEYS):
        cells = [share(own[own["budget"] == budget]) for budget in BUDGETS]
        lines.append("| " + " | ".join([*map(str, method), *cells]) + " |")
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
