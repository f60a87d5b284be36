"""Rule retrain: the pruned network is trained."""

from secateur.workflow.job import run_step

run_step(snakemake, "retrain")
