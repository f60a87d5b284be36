"""Rule latency: the networks side by side in ONNX Runtime."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.export.latency_step import measure_latency

    measure_latency(run, stream)
