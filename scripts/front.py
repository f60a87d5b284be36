"""Rule front: the points of a sweep side by side."""

import os
from pathlib import Path

from secateur.runtime.gpu import leased
from secateur.workflow.job import logged

with logged(snakemake.log[0]) as stream, leased(0, os.environ):
    from secateur.steps.pareto import front_step

    folder = Path(snakemake.output.table).parent
    front_step(snakemake.wildcards.sweep, snakemake.params.front, snakemake.params.sources, folder, stream)
