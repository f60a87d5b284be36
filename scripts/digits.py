"""Rule digits: scikit-learn's digits as class folders."""

from secateur.workflow.job import run_common_step

run_common_step(snakemake, "digits", folder=snakemake.output.images, index=snakemake.output.index)
