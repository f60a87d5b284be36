"""Rule report: one page that shows what happened."""

from secateur.job import job

with job(snakemake) as (run, stream):
    from secateur.report.step import report

    report(run, stream)
