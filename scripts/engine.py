"""Rule engine: a TensorRT engine."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.engine import build_engine

    build_engine(run, stream)
