"""Plots for pages: SVG that uses the colours of the page, so that it is readable in light and dark mode.

Each point shows its values under the mouse pointer; this needs no script.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

SVG = "http://www.w3.org/2000/svg"
# Placeholder colours that are replaced by the page's own colours, which differ in light and dark mode.
COLORS = {
    "#010101": "var(--ink)",
    "#020202": "var(--soft)",
    "#030303": "var(--line)",
    "#040404": "var(--kept)",
    "#050505": "var(--second)",
    "#060606": "var(--paper)",
}
INK, SOFT, LINE, FIRST, SECOND, PAPER = COLORS
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
INCHES = (4.4, 2.7)
TIP = "tip-"


class Plot:
    """One pair of axes that becomes SVG text.

    Args:
        title: of the plot; also its text for screen readers.
        size: in inches.
    """

    def __init__(self, title: str, size: tuple[float, float] = INCHES) -> None:
        self.title = title
        self.tips: list[str] = []
        with rc_context(STYLE):
            self.figure = Figure(figsize=size, layout="constrained")
            self.figure.patch.set_alpha(0)
            self.axes: Any = self.figure.subplots()
            self.axes.set_title(title, fontsize=10, loc="left")

    def points(self, x: Any, y: Any, tips: Sequence[str], **style: Any) -> None:
        """Draw points that show `tips` under the mouse pointer."""
        for own_x, own_y, tip in zip(x, y, tips, strict=True):
            gid = f"{TIP}{len(self.tips)}"
            self.tips.append(tip)
            self.axes.plot([own_x], [own_y], linestyle="none", gid=gid, **{"marker": "o", "ms": 3.5, **style})

    def legend(self, **where: Any) -> None:
        """Add a legend."""
        with rc_context(STYLE):
            self.axes.legend(**where)

    def svg(self, described: str = "") -> str:
        """The finished figure; `described` is its text for screen readers, after the title."""
        out = io.StringIO()
        # The title is the salt: ids differ between the figures of a page, and are the same each time.
        with rc_context({**STYLE, "svg.hashsalt": self.title}):
            self.figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        return _inline(out.getvalue(), self.tips, f"{self.title}. {described}".strip())


def _inline(text: str, tips: list[str], label: str) -> str:
    """The SVG for use inside a page: without header and unused ids, with the page's colours and tips."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    for element in root.iter():
        identity = element.get("id", "")
        if identity.startswith(TIP):
            element.set("class", "tip")
            title = ElementTree.Element(f"{{{SVG}}}title")
            title.text = tips[int(identity.removeprefix(TIP))]
            element.insert(0, title)
        if identity not in used:
            element.attrib.pop("id", None)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", label)
    inline = ElementTree.tostring(root, encoding="unicode")
    for stand_in, color in COLORS.items():
        inline = inline.replace(stand_in, color)
    # The page's own fonts.
    return re.sub(r"font: ([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", inline)


def curves(histories: dict[str, pd.DataFrame], best: dict[str, int]) -> list[str]:
    """Plots of loss, accuracy and learning rate over the epochs of all trainings, one after the other.

    Args:
        histories: step -> `history.csv`.
        best: step -> its best epoch, from 1.
    """
    panels = (
        ("Loss", (("loss", "training"), ("val_loss", "validation"))),
        ("Accuracy", (("accuracy", "training"), ("val_accuracy", "validation"))),
        ("Learning rate", (("lr", "learning rate"),)),
    )
    return [_curve(title, series, histories, best) for title, series in panels]


def _curve(
    title: str, series: tuple[tuple[str, str], ...], histories: dict[str, pd.DataFrame], best: dict[str, int]
) -> str:
    plot = Plot(title)
    described, start = [], 0
    for step, history in histories.items():
        epochs = history["epoch"].astype(int)
        for (column, name), color in zip(series, (FIRST, SECOND), strict=False):
            values = pd.to_numeric(history[column], errors="coerce")
            shown = values.notna()
            plot.axes.plot(start + epochs[shown], values[shown], color=color, lw=1.3, label=name if not start else None)
            pairs = zip(epochs[shown], values[shown], strict=True)
            tips = [f"{step}, epoch {epoch}: {name} {value:.4g}" for epoch, value in pairs]
            plot.points(start + epochs[shown], values[shown], tips, color=color, ms=2.5)
            described.append(f"{step}: {name} from {values[shown].iloc[0]:.3g} to {values[shown].iloc[-1]:.3g}")
        plot.axes.axvline(start + best[step], color=SOFT, lw=0.9, ls=":", label="best epoch" if not start else None)
        start += int(epochs.max())
        if len(histories) > 1 and step == "train":
            plot.axes.axvline(start + 0.5, color=INK, lw=0.9)
            top = {"transform": plot.axes.get_xaxis_transform(), "va": "top", "fontsize": 8, "color": INK}
            plot.axes.text(start + 0.7, 1.0, "pruned", **top)
    plot.axes.set_xlabel("epoch")
    plot.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plot.legend()
    return plot.svg("; ".join(described))


def reliability(bins: list[tuple[int, float, float]]) -> str:
    """A plot of accuracy against confidence; `bins` as returned by `calibration_bins`."""
    plot = Plot("Confidence against accuracy", (4.4, 3.4))
    width = 1 / len(bins)
    plot.axes.plot([0, 1], [0, 1], color=SOFT, lw=1, ls=":", label="confidence = accuracy")
    full = [(number, *own) for number, own in enumerate(bins) if own[0]]
    places = [(number + 0.5) * width for number, *_ in full]
    plot.axes.bar(places, [own[3] for own in full], width * 0.92, color=FIRST, alpha=0.75, label="accuracy")
    tips = [f"{count:,} images: mean confidence {mean:.3f}, accuracy {right:.3f}" for _, count, mean, right in full]
    plot.points([own[2] for own in full], [own[3] for own in full], tips, color=INK, ms=4, label=None)
    plot.axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    plot.legend(loc="upper left")
    return plot.svg("; ".join(tips))


def thresholds(shares: NDArray[np.float64], accuracies: NDArray[np.float64]) -> str:
    """A plot of the share of answered images and their accuracy against the confidence limit (0..1 in equal steps)."""
    plot = Plot("Answered images and accuracy against the confidence limit", (4.4, 3.4))
    at = np.linspace(0, 1, len(shares))
    plot.axes.plot(at, shares, color=SECOND, lw=1.3, label="images answered")
    plot.axes.plot(at, accuracies, color=FIRST, lw=1.3, label="accuracy of these")
    plot.axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence limit", ylabel="share")
    plot.legend(loc="lower left")
    half = len(at) // 2
    return plot.svg(f"At 0.5: {shares[half]:.1%} answered, accuracy {accuracies[half]:.3f}")


def pareto(table: pd.DataFrame, cost: str, label: str) -> str:
    """A plot of top-1 accuracy against a cost.

    Args:
        table: `name`, `top_1`, `standard_error`, the cost, and `front`: whether it is on the Pareto front.
        cost: its column.
        label: the cost in words.
    """
    plot = Plot(f"Top-1 accuracy against {label}", (4.4, 3.2))
    front = table[table["front"]].sort_values(cost)
    plot.axes.errorbar(
        table[cost], table["top_1"], table["standard_error"], fmt="none", ecolor=LINE, elinewidth=1.2, zorder=1
    )
    plot.axes.plot(front[cost], front["top_1"], color=FIRST, lw=1.2, label="Pareto front", zorder=2)
    for rows, color in ((table[~table["front"]], SOFT), (front, FIRST)):
        tips = [
            f"{name}: top-1 {top:.4f}, {label} {value:,.4g}"
            for name, top, value in rows[["name", "top_1", cost]].itertuples(index=False)
        ]
        plot.points(rows[cost], rows["top_1"], tips, color=color, ms=5, zorder=3)
    plot.axes.set(xlabel=label, ylabel="top-1")
    plot.axes.set_xlim(left=0)
    plot.axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    plot.legend(loc="lower right")
    return plot.svg(f"{len(table)} networks, {len(front)} of them on the Pareto front")
