"""The spec file: typed sections, one loader for every vintage."""

from secateur.spec.export_spec import ExportSpec
from secateur.spec.load import load_spec, parse_spec
from secateur.spec.notices import Notice
from secateur.spec.prune_spec import PruneSpec
from secateur.spec.spec import (
    AugmentSpec,
    BnConfig,
    DataSpec,
    DistillSpec,
    EvaluateSpec,
    InferenceSpec,
    LrConfig,
    ModelSpec,
    OptimConfig,
    RegConfig,
    RetrainSpec,
    Spec,
    SplitSpec,
    TrainSpec,
)

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
