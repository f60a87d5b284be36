"""Rule evaluate: all figures of one model."""

from secateur.workflow.job import run_step

run_step(snakemake, "evaluate", stage=snakemake.wildcards.stage)
