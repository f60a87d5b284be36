rule split:
    input:
        lambda wildcards: INPUTS.split(wildcards.experiment),
    output:
        **outputs("split"),
    log:
        "<logs>/{experiment}/split.log",
    conda:
        "../envs/secateur.yaml"
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "split")
    resources:
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "split", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "split"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "split"),
    script:
        "../scripts/split.py"
