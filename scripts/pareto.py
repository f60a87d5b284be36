"""Rule pareto: the points of a sweep side by side."""

from pathlib import Path

from secateur.workflow.job import run_common_step

run_common_step(
    snakemake,
    "pareto",
    name=snakemake.wildcards.sweep,
    points=snakemake.params.points,
    runs=snakemake.params.runs,
    folder=Path(snakemake.output.table).parent,
)
