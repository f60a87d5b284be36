rule prune:
    input:
        unpack(lambda wildcards: INPUTS.prune(wildcards.experiment)),
    output:
        **outputs("prune"),
    log:
        "<logs>/{experiment}/prune.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=lambda wildcards: INPUTS.gpus(wildcards.experiment, "prune"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "prune"),
    script:
        "../scripts/prune.py"
