rule evaluate:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
        model=lambda wildcards: INPUTS.evaluated_model(
            wildcards.experiment, wildcards.stage
        ),
    output:
        metrics="<results>/{experiment}/evaluate/{stage}/metrics.json",
        predictions="<results>/{experiment}/evaluate/{stage}/predictions.csv",
        confusion="<results>/{experiment}/evaluate/{stage}/confusion.csv",
    log:
        "<logs>/{experiment}/evaluate_{stage}.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=1,
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "evaluate"),
        code=code_digest("evaluate"),
    script:
        "../scripts/evaluate.py"
