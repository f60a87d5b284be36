"""Rule retrain: the pruned network recovers."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.training.step import retrain

    retrain(run, stream)
