rule cache:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
    output:
        **outputs("cache"),
    log:
        "<logs>/{experiment}/cache.log",
    conda:
        "../envs/secateur.yaml"
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "cache"),
    script:
        "../scripts/cache.py"
