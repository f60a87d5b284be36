rule train:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
        start=lambda wildcards: INPUTS.start_model(wildcards.experiment),
        # With or without it the pixels are the same: a training is not repeated for it.
        packs=ancient(lambda wildcards: INPUTS.packs(wildcards.experiment)),
    output:
        model="<results>/{experiment}/train/model.tlt",
        history="<results>/{experiment}/train/history.csv",
        metrics="<results>/{experiment}/train/metrics.json",
    log:
        "<logs>/{experiment}/train.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=lambda wildcards: INPUTS.gpus(wildcards.experiment, "train"),
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "train"),
        code=code_digest("train"),
    script:
        "../scripts/train.py"
