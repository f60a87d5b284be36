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
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "calibrate")
    resources:
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "calibrate", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "calibrate"),
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
        threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "export")
        resources:
            mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
                wildcards.experiment, "export", attempt
            ),
            runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "export"),
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
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "latency")
    resources:
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "latency", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "latency"),
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
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "bundle")
    resources:
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "bundle", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "bundle"),
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
    threads: lambda wildcards: INPUTS.threads(wildcards.experiment, "engine")
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: INPUTS.mem_mb(
            wildcards.experiment, "engine", attempt
        ),
        runtime=lambda wildcards: INPUTS.runtime(wildcards.experiment, "engine"),
    params:
        run=lambda wildcards: EXPERIMENTS.described(wildcards.experiment),
        out_of_date=lambda wildcards: INPUTS.params(wildcards.experiment, "engine"),
    script:
        "../scripts/engine.py"
