"""Rule calibrate: ranges of activations for int8."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.export.calibration import calibrate

    calibrate(run, stream)
