rule front:
    input:
        lambda wildcards: INPUTS.front(wildcards.sweep),
    output:
        table="<results>/sweeps/{sweep}/front.csv",
        svg="<results>/sweeps/{sweep}/front.svg",
        png="<results>/sweeps/{sweep}/front.png",
    log:
        "<logs>/sweeps/{sweep}.log",
    conda:
        "../envs/secateur.yaml"
    params:
        front=lambda wildcards: EXPERIMENTS.front(wildcards.sweep),
        sources=lambda wildcards: EXPERIMENTS.point_sources(wildcards.sweep),
        code=code_digest("front"),
    script:
        "../scripts/front.py"
