rule evaluate:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
        model=lambda wildcards: INPUTS.evaluated_model(
            wildcards.experiment, wildcards.stage
        ),
    output:
        **outputs("evaluate"),
    log:
        "<logs>/{experiment}/evaluate_{stage}.log",
    conda:
        "../envs/secateur.yaml"
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "evaluate")
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "evaluate", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "evaluate"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(
            wildcards.experiment, "evaluate", wildcards.stage
        ),
    script:
        "../scripts/evaluate.py"
