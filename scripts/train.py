"""Rule train: the first training."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.training.step import train

    train(run, stream)
