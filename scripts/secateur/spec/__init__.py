"""The spec file: typed sections, and one loader for all TAO releases."""

from secateur.spec.augment_spec import AugmentSpec
from secateur.spec.data_spec import DataSpec, SplitSpec
from secateur.spec.evaluate_spec import EvaluateSpec
from secateur.spec.export_spec import ExportSpec
from secateur.spec.inference_spec import InferenceSpec
from secateur.spec.load import load_spec, parse_spec
from secateur.spec.model_spec import ModelSpec
from secateur.spec.notices import Notice
from secateur.spec.prune_spec import PruneSpec
from secateur.spec.spec import Spec
from secateur.spec.train_spec import BnConfig, DistillSpec, LrConfig, OptimConfig, RegConfig, RetrainSpec, TrainSpec

__all__ = [
    "AugmentSpec",
    "BnConfig",
    "DataSpec",
    "DistillSpec",
    "EvaluateSpec",
    "ExportSpec",
    "InferenceSpec",
    "LrConfig",
    "ModelSpec",
    "Notice",
    "OptimConfig",
    "PruneSpec",
    "RegConfig",
    "RetrainSpec",
    "Spec",
    "SplitSpec",
    "TrainSpec",
    "load_spec",
    "parse_spec",
]
