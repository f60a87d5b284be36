rule calibrate:
    input:
        unpack(lambda wildcards: INPUTS.manifest(wildcards.experiment)),
        model=lambda wildcards: INPUTS.exported_model(wildcards.experiment),
    output:
        "<results>/{experiment}/export/calibration.json",
    log:
        "<logs>/{experiment}/calibrate.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "calibrate"),
        code=code_digest("calibrate"),
    script:
        "../scripts/calibrate.py"


rule export:
    input:
        unpack(lambda wildcards: INPUTS.export(wildcards.experiment, wildcards.file)),
    output:
        model="<results>/{experiment}/export/{file}",
        parity="<results>/{experiment}/export/{file}.parity.json",
    log:
        "<logs>/{experiment}/export_{file}.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.export_params(
            wildcards.experiment, wildcards.file
        ),
        code=code_digest("export"),
    script:
        "../scripts/export.py"


rule openvino:
    input:
        unpack(
            lambda wildcards: INPUTS.export(
                wildcards.experiment, f"{wildcards.name}.xml"
            )
        ),
    output:
        model="<results>/{experiment}/export/{name}.xml",
        weights="<results>/{experiment}/export/{name}.bin",
        parity="<results>/{experiment}/export/{name}.xml.parity.json",
    log:
        "<logs>/{experiment}/export_{name}.xml.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.export_params(
            wildcards.experiment, f"{wildcards.name}.xml"
        ),
        code=code_digest("export"),
    script:
        "../scripts/export.py"


rule web:
    input:
        unpack(lambda wildcards: INPUTS.latency(wildcards.experiment)),
        classmap=lambda wildcards: INPUTS.manifest(wildcards.experiment)["classmap"],
    output:
        "<results>/{experiment}/export/try.html",
    log:
        "<logs>/{experiment}/web.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "web"),
        code=code_digest("web"),
    script:
        "../scripts/web.py"


rule latency:
    input:
        unpack(lambda wildcards: INPUTS.latency(wildcards.experiment)),
        classmap=lambda wildcards: INPUTS.manifest(wildcards.experiment)["classmap"],
    output:
        "<results>/{experiment}/export/latency.json",
    log:
        "<logs>/{experiment}/latency.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "latency"),
        code=code_digest("latency"),
    script:
        "../scripts/latency.py"


rule bundle:
    input:
        lambda wildcards: INPUTS.bundle(wildcards.experiment),
    output:
        labels="<results>/{experiment}/export/labels.txt",
        preprocessing="<results>/{experiment}/export/preprocessing.json",
        metrics="<results>/{experiment}/export/metrics.json",
        nvinfer="<results>/{experiment}/export/nvinfer_config.txt",
        nvinfer_labels="<results>/{experiment}/export/nvinfer_labels.txt",
        trtexec="<results>/{experiment}/export/trtexec.sh",
        predict="<results>/{experiment}/export/predict.py",
        readme="<results>/{experiment}/export/README.md",
        manifest="<results>/{experiment}/export/MANIFEST.json",
        triton=directory("<results>/{experiment}/export/triton"),
    log:
        "<logs>/{experiment}/bundle.log",
    conda:
        "../envs/secateur.yaml"
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "bundle"),
        code=code_digest("bundle"),
    script:
        "../scripts/bundle.py"


rule engine:
    input:
        lambda wildcards: INPUTS.engine(wildcards.experiment),
    output:
        engine="<results>/{experiment}/engine/model.engine",
        metrics="<results>/{experiment}/engine/metrics.json",
    log:
        "<logs>/{experiment}/engine.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        gpu=1,
    params:
        source=lambda wildcards: EXPERIMENTS.source(wildcards.experiment),
        sections=lambda wildcards: INPUTS.params(wildcards.experiment, "engine"),
        code=code_digest("engine"),
    script:
        "../scripts/engine.py"
