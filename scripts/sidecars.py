"""Rule sidecars: labels and preprocessing for deployment."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.export.step import sidecars

    sidecars(run)
