rule prune:
    input:
        unpack(lambda wildcards: INPUTS.prune(wildcards.experiment)),
    output:
        **outputs("prune"),
    log:
        "<logs>/{experiment}/prune.log",
    conda:
        "../envs/secateur.yaml"
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "prune")
    resources:
        gpu=lambda wildcards: INPUTS.gpus(wildcards.experiment, "prune"),
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "prune", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "prune"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "prune"),
    script:
        "../scripts/prune.py"
