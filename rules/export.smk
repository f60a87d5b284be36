rule export:
    input:
        model=lambda wildcards: EXPERIMENTS.exported_model(wildcards.experiment),
        manifest="results/{experiment}/split/manifest.csv",
        classmap="results/{experiment}/split/classmap.json",
    output:
        model="results/{experiment}/export/{file}",
        parity="results/{experiment}/export/{file}.parity.json",
    log:
        "logs/{experiment}/export_{file}.log",
    params:
        spec=lambda wildcards: EXPERIMENTS.paths[wildcards.experiment],
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "export"),
        code=code_digest("export"),
    script:
        "../scripts/export.py"


rule sidecars:
    input:
        classmap="results/{experiment}/split/classmap.json",
    output:
        labels="results/{experiment}/export/labels.txt",
        preprocessing="results/{experiment}/export/preprocessing.json",
    log:
        "logs/{experiment}/sidecars.log",
    params:
        spec=lambda wildcards: EXPERIMENTS.paths[wildcards.experiment],
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "export"),
        code=code_digest("export"),
    script:
        "../scripts/sidecars.py"
