"""The tables of README.md, from the JSON files beside it: .venv/bin/python bench/ship/table.py"""

from __future__ import annotations

import json
from pathlib import Path

HEAD = "| network | file | top-1 | size | of unpruned fp32 | time, batch 1 | batch 8 | layers in integers |"
RULE = "|---|---|--:|--:|--:|--:|--:|--:|"


def main() -> None:
    """Print a table an arch."""
    for path in sorted(Path(__file__).parent.glob("*.json")):
        report = json.loads(path.read_text())
        if isinstance(report, dict) and "arch" in report:
            print(f"### {report['arch']}\n\n{HEAD}\n{RULE}")
            print("\n".join(_row(row) for row in report["rows"]), end="\n\n")


def _row(row: dict[str, object]) -> str:
    layers = f"{row['in_integers']} of {row['layers_with_weights']}" if "in_integers" in row else ""
    return (
        f"| {row['network']} | {row['file']} | {row['top_1']:.3f} ± {row['standard_error']:.3f} | "
        f"{row['bytes'] / 1e6:.2f} MB | {row['size_ratio']:.3f} | {row['ratio_batch_1']:.2f} | "
        f"{row['ratio_batch_8']:.2f} | {layers} |"
    )


if __name__ == "__main__":
    main()
