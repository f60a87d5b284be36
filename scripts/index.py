"""Rule index: the page over all experiments and sweeps."""

from pathlib import Path

from secateur.workflow.job import run_common_step

run_common_step(snakemake, "index", index=snakemake.params.index, folder=Path(snakemake.output.page).parent)
