rule inference:
    input:
        lambda wildcards: INPUTS.inference(wildcards.experiment),
    output:
        **outputs("inference"),
    log:
        "<logs>/{experiment}/inference.log",
    conda:
        "../envs/secateur.yaml"
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "inference")
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "inference", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "inference"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "inference"),
    script:
        "../scripts/inference.py"
