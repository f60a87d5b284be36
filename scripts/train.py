"""Rule train: the first training."""

from secateur.workflow.job import run_step

run_step(snakemake, "train")
