rule cache:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
    output:
        **outputs("cache"),
    log:
        "<logs>/{experiment}/cache.log",
    # No training names it as input: Snakemake would not look at what else changed for a training behind a job that runs,
    # and would repeat a training for a cache that has the same pixels. A training that comes first makes it itself.
    priority: 1
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
