"""The Pareto front of a sweep (the networks that no other one beats), and the recommended network."""

from __future__ import annotations

import pandas as pd

UNPRUNED = "unpruned"
# Cost that is compared with accuracy -> its name in a figure.
COSTS = {
    "macs": "multiply-accumulates",
    "params": "parameters",
    "onnx_bytes": "bytes of the exported ONNX",
    "latency_ms": "latency in ms",
}


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
        f"{first['name']})"
    )
