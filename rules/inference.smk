rule inference:
    input:
        lambda wildcards: INPUTS.inference(wildcards.experiment),
    output:
        **outputs("inference"),
    log:
        "<logs>/{experiment}/inference.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=1,
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "inference"),
    script:
        "../scripts/inference.py"
