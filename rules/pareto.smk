rule pareto:
    input:
        lambda wildcards: INPUTS.pareto(wildcards.sweep),
    output:
        **outputs("pareto"),
    log:
        "<logs>/sweeps/{sweep}.log",
    conda:
        "../envs/secateur.yaml"
    threads: INPUTS.machine.cores
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        points=lambda wildcards: EXPERIMENTS.sweep_points(wildcards.sweep),
        runs=lambda wildcards: EXPERIMENTS.point_runs(wildcards.sweep),
        code=code_of("pareto"),
    script:
        "../scripts/pareto.py"
