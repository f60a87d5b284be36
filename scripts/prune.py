"""Rule prune: whole channels go."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.prune import prune_step

    prune_step(run, stream)
