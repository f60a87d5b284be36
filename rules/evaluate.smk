rule evaluate:
    input:
        model=lambda wildcards: EXPERIMENTS.evaluated_model(
            wildcards.experiment, wildcards.stage
        ),
        manifest="results/{experiment}/split/manifest.csv",
        classmap="results/{experiment}/split/classmap.json",
    output:
        metrics="results/{experiment}/evaluate/{stage}/metrics.json",
        predictions="results/{experiment}/evaluate/{stage}/predictions.csv",
        confusion="results/{experiment}/evaluate/{stage}/confusion.csv",
    log:
        "logs/{experiment}/evaluate_{stage}.log",
    resources:
        gpu=1,
    params:
        spec=lambda wildcards: EXPERIMENTS.paths[wildcards.experiment],
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "evaluate"),
        code=code_digest("evaluate"),
    script:
        "../scripts/evaluate.py"
