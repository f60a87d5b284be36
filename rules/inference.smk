rule inference:
    input:
        lambda wildcards: INPUTS.inference(wildcards.experiment),
    output:
        result="<results>/{experiment}/inference/result.csv",
        unreadable="<results>/{experiment}/inference/unreadable.csv",
    log:
        "<logs>/{experiment}/inference.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=1,
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "inference"),
        code=code_digest("inference"),
    script:
        "../scripts/inference.py"
