"""Rule front: the points of a sweep side by side."""

from pathlib import Path

from secateur.job import logged

with logged(snakemake.log[0]) as stream:
    from secateur.front import front_step

    folder = Path(snakemake.output.table).parent
    front_step(snakemake.wildcards.sweep, snakemake.params.front, snakemake.params.sources, folder, stream)
