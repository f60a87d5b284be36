"""Rule inference: labels for a folder of images."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.inference import inference

    inference(run, stream)
