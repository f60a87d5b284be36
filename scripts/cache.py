"""Rule cache: decoded images in files, where they fit."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.data.cache import cache_step

    cache_step(run, stream)
