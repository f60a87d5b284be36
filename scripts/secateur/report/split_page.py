"""The report of split for people: facts about the images, and what is odd about them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import pandas as pd

from secateur.data.images import Size, UnreadableImageError, read_shown
from secateur.data.left_out import LeftOut, accounted
from secateur.errors import DataError
from secateur.report.html import data_uri, document
from secateur.spec import DataSpec

MAX_PAIRS = 20
THUMBNAIL_SIDE = 96
SHOWN_AS_PAIRS = ("label conflict", "looks alike in two classes", "looks alike in two splits", "looks alike")
SHOWN_ALONE = (
    "unreadable", "uniform", "nearly black", "nearly white", "transparent", "values out of range", "not a number",
    "metadata ignored",
)  # fmt: skip
MAX_ALONE = 8


def page(report: dict[str, Any], findings: pd.DataFrame, data_spec: DataSpec) -> str:
    """The page.

    Args:
        report: content of report.json.
        findings: content of findings.csv.
        data_spec: how images are read.
    """
    warnings = "".join(f'<p class="warning">{escape(words)}</p>' for words in report["warnings"])
    parts = "  ".join(f"{name} {count:,}" for name, count in report["images_per_split"].items())
    body = f"""<h1>Images</h1>
<p>{report["images"]:,} images of {len(report["classes"])} classes: {parts}.</p>
<p>{escape(accounted(report["images"], LeftOut.from_json(report["left_out"]), "images used"))}.</p>
{"".join(f'<p class="soft">{escape(words)}</p>' for words in report["notes"])}
{warnings}
{_classes(report["images_per_class"], report["classes"])}
{_facts(report["images_are"])}
{_left_out(report["left_out"])}
{_findings(report["findings"])}
{"".join(_alone(kind, findings[findings["kind"].eq(kind)], data_spec) for kind in SHOWN_ALONE)}
{"".join(_pairs(kind, findings[findings["kind"].eq(kind)], data_spec) for kind in SHOWN_AS_PAIRS)}"""
    return document("Images", body)


def _classes(counts: dict[str, dict[str, int]], classes: list[str]) -> str:
    most = max(counts["train"].values())
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{_numbers([counts[split][name] for split in counts])}"
        f'<td><div class="bar"><div style="width:{100 * counts["train"][name] / most:.1f}%"></div></div></td></tr>'
        for name in classes
    )
    return f"<table>{_head('class', list(counts), 'training images')}<tbody>{rows}</tbody></table>"


def _head(first: str, numbers: list[str], last: str = "") -> str:
    cells = "".join(f'<th class="number">{name}</th>' for name in numbers)
    return f"<thead><tr><th>{first}</th>{cells}{f'<th>{last}</th>' if last else ''}</tr></thead>"


def _numbers(values: Iterable[int]) -> str:
    return "".join(f'<td class="number">{value:,}</td>' for value in values)


def _facts(facts: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{words}</td>{_numbers(facts[name].values())}</tr>"
        for name, words in (("width", "width, pixels"), ("height", "height, pixels"), ("bytes", "file, bytes"))
    )
    modes = ", ".join(f"{escape(name)} {count:,}" for name, count in facts["modes"].items())
    return f"""<h2>Sizes and modes</h2>
<table>{_head("", ["least", "median", "most"])}<tbody>{rows}</tbody></table>
<p class="soft">Modes: {modes}.</p>"""


def _left_out(reasons: dict[str, dict[str, Any]]) -> str:
    """How many files are in no split for each reason, and the first of them."""
    if not reasons:
        return ""
    rows = "".join(
        f"<tr><td>{escape(reason)}</td>{_numbers([found['files']])}<td>{escape(found['example'])}</td></tr>"
        for reason, found in reasons.items()
    )
    return f"<h2>Left out</h2><table>{_head('files', ['number'], 'such as')}<tbody>{rows}</tbody></table>"


def _findings(counts: dict[str, int]) -> str:
    if not counts:
        return "<h2>Findings</h2><p>None.</p>"
    rows = "".join(f"<tr><td>{escape(kind)}</td>{_numbers([count])}</tr>" for kind, count in counts.items())
    return f"""<h2>Findings</h2><p class="soft">findings.csv lists all findings.</p>
<table><tbody>{rows}</tbody></table>"""


def _alone(kind: str, rows: pd.DataFrame, data_spec: DataSpec) -> str:
    """A few examples of a kind of finding about single images."""
    if rows.empty:
        return ""
    shown = "".join(
        f'<tr><td class="count">{_thumbnail(path, data_spec)}</td><td>{escape(path)}</td><td>{escape(detail)}</td></tr>'
        for path, detail in rows[["path", "detail"]].head(MAX_ALONE).itertuples(index=False)
    )
    more = f'<p class="soft">{len(rows) - MAX_ALONE:,} more.</p>' if len(rows) > MAX_ALONE else ""
    return f"<h2>{escape(kind).capitalize()}</h2><table><tbody>{shown}</tbody></table>{more}"


def _pairs(kind: str, rows: pd.DataFrame, data_spec: DataSpec) -> str:
    if rows.empty:
        return ""
    shown = "".join(
        f'<tr><td class="count">{_thumbnail(path, data_spec)} {_thumbnail(other, data_spec)}</td>'
        f"<td>{escape(path)}<br>{escape(other)}</td><td>{escape(detail)}</td></tr>"
        for path, other, detail in rows[["path", "other", "detail"]].head(MAX_PAIRS).itertuples(index=False)
    )
    more = f'<p class="soft">{len(rows) - MAX_PAIRS:,} more pairs.</p>' if len(rows) > MAX_PAIRS else ""
    return f"<h2>{escape(kind).capitalize()}</h2><table><tbody>{shown}</tbody></table>{more}"


def _thumbnail(path: str, data_spec: DataSpec) -> str:
    """A small copy of the image inside the page."""
    try:
        small = read_shown(path, data_spec, _small)
    except (UnreadableImageError, DataError):
        return ""
    return f'<img alt="" src="{data_uri(small)}">'


def _small(size: Size) -> Size:
    ratio = min(1, THUMBNAIL_SIDE / max(size))
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))
