"""Rule web: a page that runs the model in a browser."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.web import web

    web(run, stream)
