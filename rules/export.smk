rule calibrate:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
        model=lambda wildcards: INPUTS.model_to_export(wildcards.experiment),
    output:
        **outputs("calibrate"),
    log:
        "<logs>/{experiment}/calibrate.log",
    conda:
        "../envs/secateur.yaml"
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "calibrate"),
    script:
        "../scripts/calibrate.py"


# A rule for each form that a file for deployment has: one file, or two that belong together.
for NAME, FILES in EXPORT_RULES.items():

    rule:
        name:
            NAME
        input:
            unpack(
                lambda wildcards, model=FILES["model"]: INPUTS.export(
                    wildcards.experiment, model.format(**wildcards)
                )
            ),
        output:
            **outputs("export", NAME),
        log:
            f"<logs>/{{experiment}}/export_{FILES['model']}.log",
        conda:
            "../envs/secateur.yaml"
        params:
            run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
            out_of_date=lambda wildcards, model=FILES["model"]: INPUTS.params(
                wildcards.experiment, "export", model.format(**wildcards)
            ),
        script:
            "../scripts/export.py"


rule latency:
    input:
        unpack(lambda wildcards: INPUTS.latency(wildcards.experiment)),
    output:
        **outputs("latency"),
    log:
        "<logs>/{experiment}/latency.log",
    conda:
        "../envs/secateur.yaml"
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "latency"),
    script:
        "../scripts/latency.py"


rule bundle:
    input:
        lambda wildcards: INPUTS.bundle(wildcards.experiment),
    output:
        **outputs("bundle"),
    log:
        "<logs>/{experiment}/bundle.log",
    conda:
        "../envs/secateur.yaml"
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "bundle"),
    script:
        "../scripts/bundle.py"


rule engine:
    input:
        lambda wildcards: INPUTS.engine(wildcards.experiment),
    output:
        **outputs("engine"),
    log:
        "<logs>/{experiment}/engine.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=1,
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "engine"),
    script:
        "../scripts/engine.py"
