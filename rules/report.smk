rule report:
    input:
        lambda wildcards: INPUTS.report(wildcards.experiment),
    output:
        "<results>/{experiment}/report.html",
    log:
        "<logs>/{experiment}/report.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        code=code_digest("report"),
    script:
        "../scripts/report.py"


rule index:
    input:
        INPUTS.index(),
    output:
        "<results>/index.html",
    log:
        "<logs>/index.log",
    localrule: True
    conda:
        "../envs/secateur.yaml"
    params:
        index=EXPERIMENTS.index(),
        code=code_digest("report"),
    script:
        "../scripts/index.py"
