rule digits:
    output:
        index="data/digits.csv",
        images=directory("data/digits"),
    log:
        "<logs>/digits.log",
    conda:
        "../envs/secateur.yaml"
    params:
        code=code_digest("digits"),
    script:
        "../scripts/digits.py"
