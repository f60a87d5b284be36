"""Rule inference: labels for a folder of images."""

from secateur.workflow.job import run_step

run_step(snakemake, "inference")
