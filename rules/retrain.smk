rule retrain:
    input:
        model="results/{experiment}/prune/model.tlt",
        report="results/{experiment}/prune/report.json",
        manifest="results/{experiment}/split/manifest.csv",
        classmap="results/{experiment}/split/classmap.json",
    output:
        model="results/{experiment}/retrain/model.tlt",
        history="results/{experiment}/retrain/history.csv",
        metrics="results/{experiment}/retrain/metrics.json",
    log:
        "logs/{experiment}/retrain.log",
    resources:
        gpu=1,
    params:
        spec=lambda wildcards: EXPERIMENTS.paths[wildcards.experiment],
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "retrain"),
        code=code_digest("train"),
    script:
        "../scripts/retrain.py"
