"""Rule web: a page that runs the model in a browser."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.export.web.step import web

    web(run, stream)
