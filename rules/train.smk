rule train:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
        start=lambda wildcards: INPUTS.start_model(wildcards.experiment),
    output:
        **outputs("train"),
    log:
        "<logs>/{experiment}/train.log",
    conda:
        "../envs/secateur.yaml"
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "train")
    resources:
        gpu=lambda wildcards: INPUTS.gpus(wildcards.experiment, "train"),
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "train", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "train"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "train"),
    script:
        "../scripts/train.py"
