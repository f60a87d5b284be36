"""The three trackers, all with the same three methods."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from secateur.storage.atomic import write_json
from secateur.storage.regular_files import read_regular

# Seconds to wait for a server before the curves are stored on this machine.
PATIENCE_S = 30
# The uncommitted changes of a checkout can hold a key that someone wrote into a spec.
NOT_THE_CHECKOUT: dict[str, Any] = {"disable_git": True, "disable_code": True}
NOT_BY_CLEARML = (
    "detect_repository",
    "matplotlib",
    "tensorflow",
    "tensorboard",
    "pytorch",
    "scikit",
    "joblib",
    "hydra",
)


@dataclass(frozen=True)
class Start:
    """The start data of a tracker.

    Attributes:
        options: the tracker's section of the spec.
        experiment: name of the experiment.
        step: `train` or `retrain`.
        config: the whole spec, without its key.
        folder: for the tracker's own files.
        resumed: whether the training resumes from a checkpoint; then the tracker's run is resumed too.
    """

    options: dict[str, Any]
    experiment: str
    step: str
    config: dict[str, Any]
    folder: str
    resumed: bool

    @property
    def name(self) -> str:
        """The default name of the run. It has the step, since both trainings can have the same section."""
        return f"{self.experiment} {self.step}"

    def known_run(self) -> str | None:
        """The id of the run to resume."""
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            if self.resumed:
                run: str = json.loads(read_regular(self._id_file))["id"]
                return run
        return None

    def remember(self, run: str) -> None:
        """Store the id for the next start."""
        write_json(self._id_file, {"id": run})

    @property
    def _id_file(self) -> Path:
        return Path(self.folder) / "run.json"


class Service(Protocol):
    """A started tracker."""

    @property
    def where(self) -> str:
        """The place of the run, for a person."""

    def epoch(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Receive the values of an epoch; `seconds` since 1970."""

    def end(self, state: str, summary: Mapping[str, float]) -> None:
        """Close the run: the training has `finished`, `stopped` or `failed`."""


class Mlflow:
    """MLflow's tracking server. The client is enough (mlflow-skinny)."""

    STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}  # noqa: RUF012 - never changed

    def __init__(self, start: Start) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415

        options = start.options
        self.client = MlflowClient(tracking_uri=options["tracking_uri"])
        self.waiting: list[Any] = []
        self.run = start.known_run() or self._new_run(start)
        self.client.update_run(self.run, status="RUNNING")
        start.remember(self.run)

    def _new_run(self, start: Start) -> str:
        from mlflow.entities import Param  # noqa: PLC0415

        options = start.options
        found = self.client.get_experiment_by_name(options["experiment"])
        experiment = found.experiment_id if found else self.client.create_experiment(options["experiment"])
        tags = {"experiment": start.experiment, "step": start.step, **options["tags"]}
        run: str = self.client.create_run(experiment, tags=tags, run_name=options["run_name"] or start.name).info.run_id
        params = [Param(key, str(value)[:500]) for key, value in _flat(start.config)]
        for first in range(0, len(params), 100):  # the largest number that MLflow accepts at once
            self.client.log_batch(run, params=params[first : first + 100])
        return run

    @property
    def where(self) -> str:
        """The server and the run's id."""
        return f"run {self.run} at {self.client.tracking_uri}"

    def epoch(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Send the values, and earlier values that could not be sent."""
        from mlflow.entities import Metric  # noqa: PLC0415
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        self.waiting += [Metric(key, value, int(1000 * seconds), epoch) for key, value in values.items()]
        with suppress(MlflowException):
            self._send()

    def end(self, state: str, summary: Mapping[str, float]) -> None:
        """Send the remaining values. Figures of the whole training are metrics named `final_...`."""
        self._send()
        for key, value in summary.items():
            self.client.log_metric(self.run, f"final_{key}", value)
        self.client.set_terminated(self.run, self.STATES[state])

    def _send(self) -> None:
        self.client.log_batch(self.run, metrics=self.waiting)
        self.waiting = []


class Wandb:
    """Weights & Biases. Without an API key or its server, the run is stored in the work folder to be sent later."""

    CODES = {"finished": 0, "stopped": 75, "failed": 1}  # noqa: RUF012 - never changed

    def __init__(self, start: Start) -> None:
        import wandb  # noqa: PLC0415

        self.folder = start.folder
        try:
            self.run = self._begun(start, None)
        except (wandb.errors.UsageError, wandb.errors.CommError):
            self.run = self._begun(start, "offline")
        start.remember(self.run.id)

    def _begun(self, start: Start, mode: Any) -> Any:
        import wandb  # noqa: PLC0415

        options = start.options
        known = start.known_run()
        return wandb.init(
            project=options["project"],
            entity=options["entity"] or None,
            name=options["name"] or start.name,
            tags=options["tags"],
            group=start.experiment,
            job_type=start.step,
            config=start.config,
            dir=start.folder,
            id=known,
            resume="allow" if known and mode is None else None,
            mode=mode,
            settings=wandb.Settings(silent=True, console="off", init_timeout=PATIENCE_S, **NOT_THE_CHECKOUT),
        )

    @property
    def where(self) -> str:
        """The page of the run, or the command that sends it."""
        if self.run.offline:
            return f"no connection: the run is stored here; send it with: wandb sync {self.folder}/wandb/offline-run-*"
        return str(self.run.url)

    def epoch(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Log the values."""
        self.run.log(dict(values), step=epoch)

    def end(self, state: str, summary: Mapping[str, float]) -> None:
        """Close the run."""
        self.run.summary.update({f"final_{key}": value for key, value in summary.items()})
        self.run.finish(exit_code=self.CODES[state])


class ClearMl:
    """ClearML. If it is not configured, an offline session."""

    def __init__(self, start: Start) -> None:
        from clearml import Task  # noqa: PLC0415
        from clearml.backend_api.session.defs import MissingConfigError  # noqa: PLC0415

        try:
            self.task = self._begun(start, start.known_run())
        except MissingConfigError:
            Task.set_offline(True)
            self.task = self._begun(start, None)
        start.remember(self.task.id)
        self.task.set_parameters_as_dict(start.config)

    @staticmethod
    def _begun(start: Start, known: str | None) -> Any:
        from clearml import Task  # noqa: PLC0415

        options = start.options
        return Task.init(
            project_name=options["project"],
            task_name=options["task"] or start.name,
            tags=[*options["tags"], start.experiment, start.step],
            reuse_last_task_id=False,
            continue_last_task=known or False,
            auto_connect_arg_parser=False,
            auto_connect_frameworks=dict.fromkeys(NOT_BY_CLEARML, False),
            auto_connect_streams=False,
        )

    @property
    def where(self) -> str:
        """The page of the task, or the place of the offline session."""
        from clearml import Task  # noqa: PLC0415

        if Task.is_offline():
            folder = self.task.get_offline_mode_folder()
            return f"not configured: the task is stored in {folder}.zip; send it with Task.import_offline_session"
        return str(self.task.get_output_log_web_page())

    def epoch(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Report each value as a separate curve."""
        for key, value in values.items():
            self.task.get_logger().report_scalar(key, key, value, epoch)

    def end(self, state: str, summary: Mapping[str, float]) -> None:
        """Close the task."""
        for key, value in summary.items():
            self.task.get_logger().report_single_value(key, value)
        if state == "failed":
            self.task.mark_failed(status_message="the training failed")
        elif state == "stopped":
            self.task.mark_stopped(status_message="the training was stopped; it resumes when it is run again")
        self.task.close()


SERVICES: dict[str, Any] = {"mlflow": Mlflow, "wandb": Wandb, "clearml": ClearMl}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value
