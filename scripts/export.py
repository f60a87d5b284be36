"""Rules export and export_pair: one file for deployment."""

from pathlib import Path

from secateur.workflow.job import run_step

run_step(snakemake, "export", name=Path(snakemake.output.model).name)
