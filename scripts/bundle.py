"""Rule bundle: what lies beside the exported models."""

from secateur.workflow.job import run_step

run_step(snakemake, "bundle")
