"""Rule digits: scikit-learn's digits as class folders."""

from secateur.steps.digits import write_digits
from secateur.workflow.job import logged

with logged(snakemake.log[0]):
    write_digits(snakemake.output.images, snakemake.output.index)
