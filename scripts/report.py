"""Rule report: one page that shows all results."""

from secateur.workflow.job import run_step

run_step(snakemake, "report")
