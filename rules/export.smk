rule export:
    input:
        unpack(lambda wildcards: EXPERIMENTS.manifest(wildcards.experiment)),
        model=lambda wildcards: EXPERIMENTS.exported_model(wildcards.experiment),
    output:
        model="results/{experiment}/export/{file}",
        parity="results/{experiment}/export/{file}.parity.json",
    log:
        "logs/{experiment}/export_{file}.log",
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "export"),
        code=code_digest("export"),
    script:
        "../scripts/export.py"


rule sidecars:
    input:
        classmap=lambda wildcards: EXPERIMENTS.manifest(wildcards.experiment)[
            "classmap"
        ],
    output:
        labels="results/{experiment}/export/labels.txt",
        preprocessing="results/{experiment}/export/preprocessing.json",
    log:
        "logs/{experiment}/sidecars.log",
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: EXPERIMENTS.params(wildcards.experiment, "export"),
        code=code_digest("export"),
    script:
        "../scripts/sidecars.py"
