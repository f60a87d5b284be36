"""Rule inference: labels for a folder of images."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.evaluation.inference import inference

    inference(run, stream)
