"""Rule retrain: the pruned network recovers."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.train import retrain

    retrain(run, stream)
