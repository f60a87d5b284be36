"""Rule export: the file for deployment."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.export.step import export

    export(run, stream)
