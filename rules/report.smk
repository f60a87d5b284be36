rule report:
    input:
        lambda wildcards: INPUTS.report(wildcards.experiment),
    output:
        **outputs("report"),
    log:
        "<logs>/{experiment}/report.log",
    conda:
        "../envs/secateur.yaml"
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "report")
    resources:
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "report", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "report"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "report"),
    script:
        "../scripts/report.py"


rule index:
    input:
        INPUTS.index(),
    output:
        **outputs("index"),
    log:
        "<logs>/index.log",
    localrule: True
    conda:
        "../envs/secateur.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        index=EXPERIMENTS.index(),
        code=code_of("index"),
    script:
        "../scripts/index.py"
