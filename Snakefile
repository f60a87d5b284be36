# One spec file in; a trained, pruned, retrained, measured and encrypted classifier out.
#     snakemake --cores all --resources gpu=2
import sys

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/scripts")

from secateur.rerun import code_digest
from secateur.workflow import load_experiments, readable_errors


configfile: "config/config.yaml"


EXPERIMENTS = load_experiments(config)


wildcard_constraints:
    experiment=r"[A-Za-z0-9][A-Za-z0-9_.\-]*",
    stage="train|retrain|given",
    file=r"[^/]+\.(onnx|etlt|tflite)",
    name=r"[^/]+",
    sweep=r"[A-Za-z0-9][A-Za-z0-9_.\-]*",


rule all:
    default_target: True
    input:
        EXPERIMENTS.targets(),


include: "rules/digits.smk"
include: "rules/split.smk"
include: "rules/cache.smk"
include: "rules/train.smk"
include: "rules/prune.smk"
include: "rules/retrain.smk"
include: "rules/evaluate.smk"
include: "rules/inference.smk"
include: "rules/export.smk"
include: "rules/front.smk"


onstart:
    with readable_errors():
        EXPERIMENTS.link_results()
