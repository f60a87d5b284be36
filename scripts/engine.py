"""Rule engine: a TensorRT engine."""

from secateur.workflow.job import run_step

run_step(snakemake, "engine")
