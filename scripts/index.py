"""Rule index: the page over all experiments and sweeps."""

import os
from pathlib import Path

from secateur.runtime.gpu import leased
from secateur.workflow.job import logged

with logged(snakemake.log[0]) as stream, leased(0, os.environ):
    from secateur.steps.index import index_step

    index_step(snakemake.params.index, Path(snakemake.output[0]).parent, stream)
