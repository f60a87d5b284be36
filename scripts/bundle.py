"""Rule bundle: what lies beside the exported models."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.export.bundle.step import bundle

    bundle(run, stream)
