rule split:
    input:
        lambda wildcards: INPUTS.split(wildcards.experiment),
    output:
        manifest="<results>/{experiment}/split/manifest.csv",
        classmap="<results>/{experiment}/split/classmap.json",
        findings="<results>/{experiment}/split/findings.csv",
        report="<results>/{experiment}/split/report.json",
        page="<results>/{experiment}/split/report.html",
    log:
        "<logs>/{experiment}/split.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "split"),
        code=code_digest("split"),
    script:
        "../scripts/split.py"
