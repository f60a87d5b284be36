"""The sections of trackers, to which the curves of a training are sent."""

from __future__ import annotations

from secateur.spec.fields import Section, no_effect, spec_key


class MlflowSpec(Section):
    """Own addition: curves and figures of the training for MLflow."""

    tracking_uri: str | None = spec_key(None, "the server; absent: the environment's MLFLOW_TRACKING_URI")
    experiment: str = spec_key("secateur", "name of the experiment in MLflow")
    run_name: str | None = spec_key(None, "name of the run; absent: the experiment's name and the step")
    tags: dict[str, str] = spec_key({}, "tags of the run")


class WandbSpec(Section):
    """Curves and figures of the training for Weights & Biases; the API key is the environment's WANDB_API_KEY."""

    project: str = spec_key("secateur", "project in Weights & Biases")
    entity: str | None = spec_key(None, "team or user; absent: the account's own")
    name: str | None = spec_key(None, "name of the run; absent: the experiment's name and the step")
    tags: list[str] = spec_key([], "tags of the run")
    reinit: bool = no_effect(False, "each training has its own run")
    sync_tensorboard: bool = no_effect(False, "the same curves are sent")
    save_code: bool = no_effect(False, "code is not sent")
    run_id: str | None = no_effect(None, "a resumed training keeps its run")


class ClearmlSpec(Section):
    """Curves and figures of the training for ClearML; its server is that of clearml.conf or the environment."""

    project: str = spec_key("secateur", "project in ClearML")
    task: str | None = spec_key(None, "name of the task; absent: the experiment's name and the step")
    tags: list[str] = spec_key([], "tags of the task")
    deferred_init: bool = no_effect(False, "the training never waits for ClearML")
    reuse_last_task_id: bool = no_effect(False, "each training has its own task")
    continue_last_task: bool = no_effect(False, "a resumed training keeps its task")


# Keys of a train section that name trackers.
TRACKERS: dict[str, type[Section]] = {"mlflow": MlflowSpec, "wandb": WandbSpec, "clearml": ClearmlSpec}
