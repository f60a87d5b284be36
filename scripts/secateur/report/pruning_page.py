"""The report of a pruning for people: one HTML file."""

from __future__ import annotations

from html import escape

from secateur.evaluation.latency_figures import BUSY
from secateur.pruning.prune_report import Group, PruneReport
from secateur.report.html import document

WHY_WHOLE = {
    "excluded": "all kept: excluded by the spec",
    "protected": "all kept: an output of the network",
    "fixed": "all kept: a layer or an output needs each of them",
}
WHY = {
    "Add": "adds",
    "Subtract": "subtracts",
    "Multiply": "multiplies",
    "Average": "averages",
    "Maximum": "takes the largest of",
    "Minimum": "takes the smallest of",
    "Concatenate": "joins",
    "DepthwiseConv2D": "filters each channel of",
    "Reshape": "regroups",
    "shared": "is used more than once on",
}


def page(report: PruneReport, asked: str) -> str:
    """The page.

    Args:
        report: of the pruning.
        asked: the prune section of the spec in words.
    """
    rows = "\n".join(_row(group) for group in report.groups)
    body = f"""<h1>Pruning</h1>
{"".join(f"<p>{escape(line)}</p>" for line in summary(report))}
<p class="soft">Spec: {escape(asked)}</p>
<p class="soft"><span class="key" style="background:var(--kept)"></span> kept
 <span class="key" style="background:var(--gone)"></span> removed. The layers in one row lose the same channels.</p>
<table class="wide"><thead>
<tr><th>layers, and what couples them</th><th>kept and removed</th><th>channels</th></tr></thead><tbody>
{rows}
</tbody></table>"""
    return document("Pruning", body)


def summary(report: PruneReport) -> list[str]:
    """Sentences about the result that name what is kept and what is removed."""
    lines = [
        _share("multiply-accumulates", report.before.macs, report.after.macs),
        _share("parameters", report.before.params, report.after.params),
    ]
    reached = report.reached
    if reached and reached.key in ("target_size_mb", "target_latency_ms"):
        what = "Size of the exported fp32 ONNX" if reached.key == "target_size_mb" else "Latency with ONNX Runtime"
        unit = reached.unit
        limits = f"{reached.value:.3g} {unit}, limit {reached.target:.3g} {unit}"
        doubt = f" ({BUSY})" if reached.busy else ""
        lines.append(f"{what}: {limits}; before pruning {reached.before:.3g} {unit}{doubt}.")
    return lines


def _share(what: str, before: int, after: int) -> str:
    kept = after / max(before, 1)
    return f"Kept {kept:.1%} of the {what} ({after:,} of {before:,}); removed {1 - kept:.1%}."


def _row(group: Group) -> str:
    share = len(group.kept) / group.total
    removed = group.total - len(group.kept)
    note = WHY_WHOLE.get(group.kept_whole_because, "")
    notes = [note] if note else []
    notes += _reasons(group)
    if group.width > 1:
        notes.append(f"each channel has {group.width} filters")
    label = f"{len(group.kept)} of {group.total} channels kept, {removed} removed"
    details = "".join(f'<div class="soft">{escape(note)}</div>' for note in notes)
    return (
        f"<tr><td>{escape(', '.join(group.members))}{details}</td>"
        f'<td><div class="bar" role="img" aria-label="{label}"><div style="width:{share:.1%}"></div></div></td>'
        f'<td class="count">{len(group.kept)} of {group.total}<div class="soft">{removed} removed</div></td></tr>'
    )


def _reasons(group: Group) -> list[str]:
    if len(group.members) == 1 and group.width == 1:
        return []
    by_kind: dict[str, list[str]] = {}
    for layer, kind in group.ties.items():
        by_kind.setdefault(kind, []).append(layer)
    return [f"{', '.join(names)} {WHY.get(kind, 'couples')} them" for kind, names in by_kind.items()]
