"""Rule report: one page that shows what happened."""

from secateur.workflow.job import job

with job(snakemake) as (run, stream):
    from secateur.steps.report import report

    report(run, stream)
