rule train:
    input:
        unpack(lambda wildcards: EXPERIMENTS.manifest(wildcards.experiment)),
        start=lambda wildcards: EXPERIMENTS.start_model(wildcards.experiment),
        # With or without it the pixels are the same: a training is not repeated for it.
        packs=ancient(lambda wildcards: EXPERIMENTS.packs(wildcards.experiment)),
    output:
        model="<results>/{experiment}/train/model.tlt",
        history="<results>/{experiment}/train/history.csv",
        metrics="<results>/{experiment}/train/metrics.json",
    log:
        "<logs>/{experiment}/train.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=lambda wildcards: EXPERIMENTS.gpus(wildcards.experiment, "train"),
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "train"),
        code=code_digest("train"),
    script:
        "../scripts/train.py"
