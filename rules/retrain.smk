rule retrain:
    input:
        unpack(lambda wildcards: INPUTS.retrain(wildcards.experiment)),
    output:
        **outputs("retrain"),
    log:
        "<logs>/{experiment}/retrain.log",
    conda:
        "../envs/secateur.yaml"
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "retrain")
    resources:
        gpu=lambda wildcards: INPUTS.gpus(wildcards.experiment, "retrain"),
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "retrain", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "retrain"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "retrain"),
    script:
        "../scripts/retrain.py"
