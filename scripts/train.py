"""Rule train: the first training."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.train import train

    train(run, stream)
