"""Rule cache: decoded images in files, where they fit."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.cache import cache_step

    cache_step(run, stream)
