rule prune:
    input:
        unpack(lambda wildcards: INPUTS.prune(wildcards.experiment)),
    output:
        model="<results>/{experiment}/prune/model.tlt",
        report="<results>/{experiment}/prune/report.json",
        page="<results>/{experiment}/prune/report.html",
    log:
        "<logs>/{experiment}/prune.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=lambda wildcards: INPUTS.gpus(wildcards.experiment, "prune"),
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "prune"),
        code=code_digest("prune"),
    script:
        "../scripts/prune.py"
