"""Rule latency: the networks side by side in ONNX Runtime."""

from secateur.workflow.job import run_step

run_step(snakemake, "latency")
