"""Rule split: folders of images to manifest and class map."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.split import split_step

    split_step(run, stream)
