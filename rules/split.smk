rule split:
    input:
        lambda wildcards: INPUTS.split(wildcards.experiment),
    output:
        **outputs("split"),
    log:
        "<logs>/{experiment}/split.log",
    conda:
        "../envs/secateur.yaml"
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "split"),
    script:
        "../scripts/split.py"
