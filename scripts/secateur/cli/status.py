"""The command `secateur status`: it shows the progress of every experiment of a configuration."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from secateur.errors import ArtifactError
from secateur.run import STATUS, Run
from secateur.runtime.terminal import drawing_output, one_line
from secateur.spec.spec_file import read_spec_text
from secateur.steps.run_files import read_run_json
from secateur.storage.locks import holder_in, process_lives
from secateur.storage.regular_files import read_regular
from secateur.workflow.experiments import Experiments

SECONDS_BETWEEN_LOOKS = 2.0
AT_WORK = ("STARTED", "RUNNING")
CHANGE_MODEL = ("train", "prune", "retrain")
STYLES = {"done": "green", "running": "cyan", "failed": "red", "stopped": "yellow", "waiting": "dim"}


class _Event(BaseModel):
    """What is shown of a line of the status file."""

    model_config = ConfigDict(strict=True)
    step: str
    status: str
    message: str
    kpi: dict[str, float] = {}
    eta: str = ""


@dataclass(frozen=True)
class Progress:
    """The progress of one experiment.

    Attributes:
        name: of the experiment.
        state: `waiting`, `running`, `stopped`, `failed` or `done`.
        step: the step that wrote last.
        words: its last message.
        result: figures of the final model; empty before it is measured.
        age_s: seconds since the last message; None before the first.
    """

    name: str
    state: str
    step: str = ""
    words: str = ""
    result: str = ""
    age_s: float | None = None


def progress_of(name: str, run: Run, files: list[Path]) -> Progress:
    """Read the status file of a run.

    Args:
        name: of the experiment.
        run: its files.
        files: all files of a finished run.
    """
    path = run.results / STATUS
    try:
        lines = read_regular(path).splitlines()
        age = time.time() - path.stat().st_mtime
    except OSError:
        return Progress(name, "waiting")
    events = [event for line in lines if (event := _event(line)) is not None]
    if not events:
        return Progress(name, "waiting", age_s=age)
    last = {event.step: event for event in events}
    working = [event for event in last.values() if event.status in AT_WORK]
    failed = [event for event in last.values() if event.status == "FAILURE"]
    newest, result = events[-1], _result(run) if _measured_last(events) else ""
    if working and _holder_lives(run):
        return Progress(name, "running", working[-1].step, _said(working[-1]), result, age)
    if failed:
        return Progress(name, "failed", failed[-1].step, failed[-1].message, result, age)
    unfinished = working or newest.status == "INTERRUPTED"
    if not unfinished and all(file.exists() for file in files):
        return Progress(name, "done", newest.step, "", result, age)
    return Progress(name, "stopped", newest.step, "", result, age)


def _measured_last(events: list[_Event]) -> bool:
    """Whether the model was measured after the last step that changed it; else its figures are of an earlier one."""
    steps = [event.step for event in events if event.step in CHANGE_MODEL or event.step.startswith("evaluate")]
    return bool(steps) and steps[-1] not in CHANGE_MODEL


def _event(line: bytes) -> _Event | None:
    """One line of the file as data; None for a line that was cut or that another program wrote."""
    try:
        return _Event.model_validate_json(line)
    except ValidationError:
        return None


def _said(event: _Event) -> str:
    parts = [event.message]
    parts += [f"val_accuracy {event.kpi['val_accuracy']:.4f}"] if "val_accuracy" in event.kpi else []
    parts += [f"ETA {event.eta}"] if event.eta else []
    return "  ".join(parts)


def _result(run: Run) -> str:
    if not run.file("evaluate", "metrics", run.final_step).exists():
        return ""
    try:
        metrics = read_run_json(run, "evaluate", "metrics", run.final_step)
    except ArtifactError as error:
        return error.message
    return f"top-1 {metrics['top_1']:.4f}  {metrics['macs'] / 1e6:,.1f} M MACs"


def _holder_lives(run: Run) -> bool:
    """Whether a process holds a folder of the run. Lock files are only read: a lock would disturb the holder."""
    folders = [run.results / ".locks", run.work / ".locks"]
    for path in (file for folder in folders if folder.is_dir() for file in folder.iterdir()):
        try:
            holder = holder_in(read_regular(path))
        except OSError:
            continue
        # A process on another machine cannot be checked; it has not reported its end, so it counts as alive.
        if holder and (holder.get("host") != socket.gethostname() or process_lives(holder["pid"])):
            return True
    return False


def table_of(progresses: list[Progress]) -> Table:
    """The table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for title in ("experiment", "state", "step", "", "result", "written"):
        table.add_column(title, overflow="fold", no_wrap=title != "")
    if any(one.state == "stopped" for one in progresses):
        table.caption = "run the same snakemake command to resume stopped experiments"
    for one in progresses:
        name, step, words, result = (Text(one_line(text)) for text in (one.name, one.step, one.words, one.result))
        table.add_row(name, Text(one.state, STYLES[one.state]), step, words, result, _age(one.age_s))
    return table


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def show(experiments: Experiments, once: bool) -> None:
    """Print the progress of each experiment. On a terminal, update it while any experiment runs, until Ctrl-C.

    Args:
        experiments: of the configuration.
        once: print once and return.
    """
    console = Console(file=drawing_output())
    files = {name: [Path(path) for path in experiments.all_files(name)] for name in experiments.specs}

    def look() -> list[Progress]:
        return [progress_of(name, experiments.run(name), own) for name, own in files.items()]

    progresses = look()
    if once or not console.is_terminal or not any(one.state == "running" for one in progresses):
        console.print(table_of(progresses))
        return
    with Live(table_of(progresses), console=console, auto_refresh=False) as live:
        while any(one.state == "running" for one in progresses):
            time.sleep(SECONDS_BETWEEN_LOOKS)
            progresses = look()
            live.update(table_of(progresses), refresh=True)


def experiments_of(config: str) -> Experiments:
    """The experiments of a configuration file, with results where the workflow puts them."""
    return Experiments(read_spec_text(config).values, Path("results"), Path("work"))
