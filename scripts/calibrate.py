"""Rule calibrate: ranges of activations for int8."""

from secateur.workflow.job import run_step

run_step(snakemake, "calibrate")
