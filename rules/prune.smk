rule prune:
    input:
        model=lambda wildcards: EXPERIMENTS.pruned_model(wildcards.experiment),
    output:
        model="results/{experiment}/prune/model.tlt",
        report="results/{experiment}/prune/report.json",
    log:
        "logs/{experiment}/prune.log",
    params:
        spec=lambda wildcards: EXPERIMENTS.paths[wildcards.experiment],
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "prune"),
        code=code_digest("prune"),
    script:
        "../scripts/prune.py"
