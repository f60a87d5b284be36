"""Rule bundle: what lies beside the exported models."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.bundle import bundle

    bundle(run, stream)
