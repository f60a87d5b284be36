rule retrain:
    input:
        unpack(lambda wildcards: INPUTS.retrain(wildcards.experiment)),
        # With or without it the pixels are the same: a training is not repeated for it.
        packs=ancient(lambda wildcards: INPUTS.packs(wildcards.experiment)),
    output:
        model="<results>/{experiment}/retrain/model.tlt",
        history="<results>/{experiment}/retrain/history.csv",
        metrics="<results>/{experiment}/retrain/metrics.json",
    log:
        "<logs>/{experiment}/retrain.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=lambda wildcards: INPUTS.gpus(wildcards.experiment, "retrain"),
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "retrain"),
        code=code_digest("train"),
    script:
        "../scripts/retrain.py"
