"""Rule prune: whole channels are removed."""

from secateur.workflow.job import run_step

run_step(snakemake, "prune")
