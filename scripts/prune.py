"""Rule prune: whole channels go."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.pruning.step import prune_step

    prune_step(run, stream)
