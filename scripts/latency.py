"""Rule latency: the networks side by side in ONNX Runtime."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.latency import measure_latency

    measure_latency(run, stream)
