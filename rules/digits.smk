rule digits:
    output:
        index=DIGITS_INDEX,
        images=directory(DIGITS),
    log:
        "<logs>/digits.log",
    conda:
        "../envs/secateur.yaml"
    params:
        code=code_of("digits"),
    script:
        "../scripts/digits.py"
