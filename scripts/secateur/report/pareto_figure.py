"""The figure of a sweep: accuracy against each cost, with the Pareto front."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from secateur.evaluation.latency_figures import BUSY
from secateur.evaluation.pareto_front import BUSY_COLUMN, COSTS, UNPRUNED
from secateur.storage.atomic import write_bytes

INK, FRONT, POINT, CHOSEN = "#3b4440", "#2f7d5b", "#9aa6a0", "#c2491d"
DPI = 130


def draw(table: pd.DataFrame, folder: Path, name: str, max_drop: float) -> None:
    """Write `pareto.svg` and `pareto.png`: one panel per cost, with a mark at the recommended point."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    figure.suptitle(f"Sweep {name}: top-1 accuracy against cost", color=INK)
    for axes, cost in zip(figure.subplots(2, 2).flat, COSTS, strict=True):
        _panel(axes, table, cost, max_drop)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    for suffix in ("svg", "png"):
        content = io.BytesIO()
        figure.savefig(content, format=suffix, dpi=DPI)
        write_bytes(folder / f"pareto.{suffix}", content.getvalue())


def _panel(axes: Any, table: pd.DataFrame, cost: str, max_drop: float) -> None:
    unpruned = table["name"].str.startswith(UNPRUNED)
    front = table[table[f"front_{cost}"]].sort_values(cost)
    error = {"fmt": "none", "ecolor": "#d5dad7", "elinewidth": 1, "zorder": 1}
    axes.errorbar(table[cost], table["top_1"], yerr=table["standard_error"], label="± 1 standard error", **error)
    axes.plot(front[cost], front["top_1"], color=FRONT, lw=1.2, zorder=2)
    axes.scatter(table[~unpruned][cost], table[~unpruned]["top_1"], color=POINT, s=28, zorder=3, label="point")
    axes.scatter(front[cost], front["top_1"], color=FRONT, s=34, zorder=4, label="Pareto front")
    axes.scatter(table[unpruned][cost], table[unpruned]["top_1"], marker="s", color=INK, zorder=5, label="unpruned")
    chosen = table[table["recommended"]]
    if len(chosen):
        axes.scatter(
            chosen[cost],
            chosen["top_1"],
            s=170,
            facecolors="none",
            edgecolors=CHOSEN,
            lw=1.8,
            zorder=6,
            label=f"recommended: fewest MACs with a drop of at most {max_drop:g}",
        )
    floor = (table["top_1"] + table["accuracy_drop"]).max() - max_drop
    axes.axhline(floor, color=CHOSEN, lw=0.8, ls=":", label="largest drop allowed")
    busy = cost == "latency_ms" and BUSY_COLUMN in table and table[BUSY_COLUMN].any()
    axes.set_xlabel(f"{COSTS[cost]}, {BUSY}" if busy else COSTS[cost], color=INK)
    axes.set_ylabel("top-1", color=INK)
    axes.set_xlim(left=0)
    if cost != "latency_ms":
        axes.xaxis.set_major_formatter(EngFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
