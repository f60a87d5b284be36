"""Rule evaluate: every figure of one model."""

from pathlib import Path

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.evaluate import evaluate

    evaluate(run, snakemake.wildcards.stage, Path(snakemake.input.model), stream)
