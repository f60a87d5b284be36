"""Rules export and openvino: one file for deployment."""

from pathlib import Path

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.export import export

    export(run, Path(snakemake.output.model).name, stream)
