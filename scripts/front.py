"""Rule front: the points of a sweep side by side."""

import os
from pathlib import Path

from secateur.gpu import leased
from secateur.job import logged

with logged(snakemake.log[0]) as stream, leased(0, os.environ):
    from secateur.front import front_step

    folder = Path(snakemake.output.table).parent
    front_step(snakemake.wildcards.sweep, snakemake.params.front, snakemake.params.sources, folder, stream)
