"""Rule calibrate: ranges of activations for int8."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.calibrate import calibrate

    calibrate(run, stream)
