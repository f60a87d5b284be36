rule digits:
    output:
        index=DIGITS_INDEX,
        images=directory(DIGITS),
    log:
        "<logs>/digits.log",
    conda:
        "../envs/secateur.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_of("digits"),
    script:
        "../scripts/digits.py"
