"""The report of a pruning for people: one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape

from secateur.pruning.report import Group, PruneReport

STYLE = """
:root { color-scheme: light dark; --ink: #1c2321; --paper: #fdfdfb; --soft: #6a736f; --kept: #2f7d5b; --gone: #d9ded9;
  --line: #e3e6e2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebe9; --paper: #171b1a; --soft: #98a29d; --kept: #58b68a;
  --gone: #343b38; --line: #2a302e; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } p { margin: .3rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; margin-top: 1.2rem; }
th { text-align: left; font-weight: 600; font-size: .85rem; color: var(--soft); }
th, td { padding: .45rem .6rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { overflow-wrap: anywhere; width: 38%; } td.count { white-space: nowrap; }
.bar { background: var(--gone); border-radius: 3px; height: .8rem; min-width: 9rem; margin-top: .3rem; }
.bar > div { background: var(--kept); border-radius: 3px; height: 100%; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; vertical-align: -1px; }
"""
HELD = {
    "excluded": "all kept: excluded by the spec",
    "protected": "all kept: an output of the network",
    "fixed": "all kept: something fixed depends on it",
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
        report: what was done.
        asked: what the spec asked for, in its own words.
    """
    rows = "\n".join(_row(group) for group in report.groups)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pruning</title><style>{STYLE}</style></head><body>
<h1>Pruning</h1>
{"".join(f"<p>{escape(line)}</p>" for line in summary(report))}
<p class="soft">Asked for: {escape(asked)}</p>
<p class="soft"><span class="key" style="background:var(--kept)"></span> kept
 <span class="key" style="background:var(--gone)"></span> removed. The layers of one row lose the same channels.</p>
<table><thead><tr><th>layers, and why they go together</th><th>kept and removed</th><th>channels</th></tr></thead>
<tbody>
{rows}
</tbody></table></body></html>
"""


def summary(report: PruneReport) -> list[str]:
    """What was done, in sentences that name what is kept and what is removed."""
    lines = [
        _share("multiply-accumulates", report.before.macs, report.after.macs),
        _share("parameters", report.before.params, report.after.params),
    ]
    reached = report.reached
    if reached and reached.key in ("target_size_mb", "target_latency_ms"):
        what = "Size of the exported fp32 ONNX" if reached.key == "target_size_mb" else "Latency with ONNX Runtime"
        unit = reached.unit
        limits = f"{reached.value:.3g} {unit} of at most {reached.target:.3g} {unit}"
        lines.append(f"{what}: {limits}; {reached.before:.3g} {unit} before.")
    return lines


def _share(what: str, before: int, after: int) -> str:
    kept = after / max(before, 1)
    return f"Kept {kept:.1%} of the {what} ({after:,} of {before:,}); removed {1 - kept:.1%}."


def _row(group: Group) -> str:
    share = len(group.kept) / group.total
    removed = group.total - len(group.kept)
    note = HELD.get(group.fixed, "")
    notes = [note] if note else []
    notes += _reasons(group)
    if group.width > 1:
        notes.append(f"each channel stands for {group.width} filters")
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
