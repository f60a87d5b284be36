# One spec file in; a trained, pruned, retrained, measured and encrypted classifier out.
#     snakemake --cores all --resources gpu=2
import gc
import os
import signal
import sys

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.current_basedir}/scripts")

from secateur.runtime.machine import missing_user, said, utf8_settings
from secateur.workflow.experiments import load_experiments, readable_errors
from secateur.workflow.inputs import Inputs
from secateur.workflow.outputs import EXPORT_RULES, rule_outputs
from secateur.workflow.resources import Machine
from secateur.workflow.staleness import DIGITS, DIGITS_INDEX, code_of
from secateur.workflow.stopping import SignalsToJobs

# Snakemake writes the user's name into its log, and dies of a user who has none. Names of files are UTF-8.
if SETTINGS := missing_user(os.environ) | utf8_settings(os.environ):
    print(said(SETTINGS), file=sys.stderr)
    os.environ.update(SETTINGS)

# A graph of thousands of jobs is no garbage: looking through it again and again takes a tenth of a dry run's time.
gc.set_threshold(100_000)

# SLURM sends it to every process of a job whose time is nearly up. It is meant for the step, which writes a checkpoint
# then; the Snakemake that runs the step in the job would die of it and take the step along.
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
# The jobs hear of the other signals: a checkpoint takes seconds, waiting for a training takes hours.
SIGNALS = SignalsToJobs()
SIGNALS.install()


configfile: "config/config.yaml"


# Where everything is written; a workflow that uses this one as a module can say otherwise: docs/module.md.
pathvars:
    results="results",
    work="work",
    logs="logs",


EXPERIMENTS = load_experiments(
    config, workflow.pathvars.apply("<results>"), workflow.pathvars.apply("<work>")
)
RUNS_JOBS = workflow.resource_settings.nodes is None
MACHINE = Machine(workflow.resource_settings.cores, os.environ, RUNS_JOBS)
INPUTS = Inputs(EXPERIMENTS, MACHINE)


def outputs(step, rule=""):
    return rule_outputs(step, directory, rule)


wildcard_constraints:
    experiment=r"[A-Za-z0-9][A-Za-z0-9_.\-]*",
    stage="train|retrain|external",
    file=r"[^/]+\.(onnx|etlt|tflite|html)",
    stem=r"[^/]+",
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
include: "rules/pareto.smk"
include: "rules/report.smk"


onstart:
    SIGNALS.install()
    with readable_errors():
        EXPERIMENTS.require_keys()
        EXPERIMENTS.link_results()
