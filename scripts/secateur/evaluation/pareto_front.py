"""The Pareto front of a sweep (the networks that no other one beats), and the recommended network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from secateur.errors import DataError
from secateur.evaluation.latency_figures import BUSY
from secateur.storage.csv import read_csv

UNPRUNED = "unpruned"
# Cost that is compared with accuracy -> its name in a figure.
COSTS = {
    "macs": "multiply-accumulates",
    "params": "parameters",
    "onnx_bytes": "bytes of the exported ONNX",
    "latency_ms": "latency in ms",
}

# Whether the latency was measured on a busy machine. Tables of older versions do not have it.
BUSY_COLUMN = "latency_busy"
NUMBERS = ("top_1", "standard_error", "accuracy_drop", "latency_ratio", *COSTS)


def read_pareto(path: Path) -> pd.DataFrame:
    """The table of a sweep.

    Raises:
        ArtifactError: the file cannot be read.
        DataError: a column is missing or has other values: numbers are finite, and costs are above 0.
    """
    hint = "give the pareto.csv of a sweep; if it is damaged, remove it and run snakemake with the sweep again"
    # Between the name and the accuracy are the values of the sweep, where an empty cell is a missing number.
    table = read_csv(path, hint, keep_default_na=True, dtype={"name": str})
    missing = [name for name in ("name", "recommended", *NUMBERS) if name not in table.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}", hint)
    bad = [name for name in NUMBERS if not _are_numbers(table[name], above_0=name in COSTS)]
    bad += ["recommended"] if table["recommended"].dtype != bool else []
    bad += ["name"] if table["name"].isna().any() else []
    if BUSY_COLUMN not in table.columns:
        table[BUSY_COLUMN] = False
    bad += [BUSY_COLUMN] if table[BUSY_COLUMN].dtype != bool else []
    if bad or table.empty:
        raise DataError(f"{path} is damaged: {'values of ' + ', '.join(bad) if bad else 'no rows'}", hint)
    return table


def _are_numbers(column: pd.Series, above_0: bool) -> bool:
    kind = column.dtype
    if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind) or kind.kind == "c":
        return False
    return bool(np.isfinite(column).all() and (not above_0 or (column > 0).all()))


def on_front(table: pd.DataFrame, cost: str) -> list[bool]:
    """Whether each network is on the Pareto front: no other one is as good in accuracy and cost, and better in one."""
    pairs = list(zip(table["top_1"], table[cost], strict=True))
    return [
        not any(top >= own_top and price <= own_price and (top, price) != (own_top, own_price) for top, price in pairs)
        for own_top, own_price in pairs
    ]


def recommended(table: pd.DataFrame, max_drop: float, cost: str = "macs") -> int | None:
    """The index of the cheapest network that loses at most `max_drop`; None if every point loses more."""
    points = table[~table["name"].str.startswith(UNPRUNED)]
    good = points[points["accuracy_drop"] <= max_drop + 1e-9]
    return None if good.empty else int(good.sort_values([cost, "accuracy_drop"]).index[0])


def advice(table: pd.DataFrame, max_drop: float, cost: str = "macs") -> str:
    """A text about the recommended point, or about the lack of one."""
    best = recommended(table, max_drop, cost)
    if best is None:
        return none_within(table, max_drop)
    return f"recommended: {described(table, best)}\n  fewest {COSTS[cost]} of all points that lose at most {max_drop:g}"


def none_within(table: pd.DataFrame, max_drop: float) -> str:
    """A text for the case that every point loses more than `max_drop`."""
    closest = table[~table["name"].str.startswith(UNPRUNED)]["accuracy_drop"].min()
    return f"every point loses more than {max_drop:.3f} of top-1 accuracy; the smallest loss is {closest:.3f}"


def described(table: pd.DataFrame, index: int) -> str:
    """A network's name, accuracy and cost. Shares refer to the first row: the unpruned network, if there is one."""
    row, first = table.loc[index], table.loc[0]
    return (
        f"{row['name']}\n"
        f"  top-1 {row['top_1']:.4f} ± {row['standard_error']:.4f}, accuracy drop {row['accuracy_drop']:+.4f}\n"
        f"  MACs {row['macs']:,} ({row['macs'] / first['macs']:.1%} kept), parameters {row['params']:,} "
        f"({row['params'] / first['params']:.1%} kept)\n"
        f"  ONNX {row['onnx_bytes']:,} bytes, latency {row['latency_ms']:.3g} ms ({row['latency_ratio']:.2f} times "
        f"{first['name']}{', ' + BUSY if row.get(BUSY_COLUMN) or first.get(BUSY_COLUMN) else ''})"
    )
