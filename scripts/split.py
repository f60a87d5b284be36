"""Rule split: the images are read and split."""

from secateur.workflow.job import run_step

run_step(snakemake, "split")
