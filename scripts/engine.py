"""Rule engine: a TensorRT engine."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.export.engine import build_engine

    build_engine(run, stream)
