rule cache:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
    output:
        "<results>/{experiment}/cache/packs.json",
    log:
        "<logs>/{experiment}/cache.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "cache"),
        code=code_digest("cache"),
    script:
        "../scripts/cache.py"
