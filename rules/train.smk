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
    resources:
        gpu=lambda wildcards: INPUTS.gpus(wildcards.experiment, "train"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "train"),
    script:
        "../scripts/train.py"
