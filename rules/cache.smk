rule cache:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
    output:
        **outputs("cache"),
    log:
        "<logs>/{experiment}/cache.log",
    conda:
        "../envs/secateur.yaml"
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "cache")
    resources:
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "cache", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "cache"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "cache"),
    script:
        "../scripts/cache.py"
