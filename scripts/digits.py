"""Rule digits: scikit-learn's digits as class folders."""

from secateur.data.digits import write_digits
from secateur.job import logged

with logged(snakemake.log[0]):
    write_digits(snakemake.output.images, snakemake.output.index)
