"""Rule split: folders of images to manifest and class map."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.data.step import split_step

    split_step(run, stream)
