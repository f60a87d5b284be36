rule train:
    input:
        manifest="results/{experiment}/split/manifest.csv",
        classmap="results/{experiment}/split/classmap.json",
        start=lambda wildcards: EXPERIMENTS.start_model(wildcards.experiment),
    output:
        model="results/{experiment}/train/model.tlt",
        history="results/{experiment}/train/history.csv",
        metrics="results/{experiment}/train/metrics.json",
    log:
        "logs/{experiment}/train.log",
    resources:
        gpu=1,
    params:
        spec=lambda wildcards: EXPERIMENTS.paths[wildcards.experiment],
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "train"),
        code=code_digest("train"),
    script:
        "../scripts/train.py"
