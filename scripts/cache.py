"""Rule cache: decoded images in files, if they fit."""

from secateur.workflow.job import run_step

run_step(snakemake, "cache")
