"""Snakemake's output for people: `logger: secateur` in profiles/default.

Steps print their own result in one line, so Snakemake's lines about start, inputs, outputs and end of a job are left
out. A failed job is shown with its error, its hint and its log. A dry run, `--verbose` and the complete log below
`.snakemake/log` are unchanged.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from logging import LogRecord
from typing import Any

from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

# Number of last lines to show of a log that does not end with an error of secateur.
LAST_LINES = 5
ERROR = re.compile(r"^error:.*(?:\n(?!error:|hint:|log:).*)*(?:\nhint:.*)?", re.MULTILINE)
# Messages of Snakemake about a failed script that add nothing, and about its own work.
CHATTER = re.compile(
    r"RuleException:\nCalledProcessError|Select jobs to execute|Execute \d+ jobs|Using shell: "
    r"|Provided (cores|remote nodes|resources)|Rules claiming more threads|Conda environments: ignored"
    r"|Assuming unrestricted shared filesystem"
)


class OneLineAStep(DefaultFormatter):  # type: ignore[misc]
    """Snakemake's messages without those about single jobs, except failures."""

    def format_job_info(self, msg: dict[str, Any]) -> str:
        """Print nothing: the step prints its own messages."""
        return ""

    def format_group_info(self, msg: dict[str, Any]) -> str:
        """Nothing."""
        return ""

    def format_job_finished(self, msg: dict[str, Any]) -> str:
        """Print nothing: the step has printed its result."""
        return ""

    def format_progress(self, msg: dict[str, Any]) -> str:
        """Nothing."""
        return ""

    def _format_job_error(self, msg: dict[str, Any]) -> list[str]:
        """Print the rule, its log, and the end of the log."""
        if not msg["log"]:
            lines: list[str] = super()._format_job_error(msg)
            return lines
        return [f"Error in rule {msg['rule_name']}:", *(line for path in msg["log"] for line in _end_of(path))]

    def _format_group_error(self, msg: dict[str, Any]) -> list[str]:
        """Print the logs with an error of jobs that a cluster ran as one."""
        paths = [path for info in msg["job_error_info"] for path in info["log"] if ERROR.search(_read(path))]
        if not paths:
            lines: list[str] = super()._format_group_error(msg)
            return lines
        return ["Error in a group of rules:", *(line for path in paths for line in _end_of(path))]


def _end_of(path: str) -> list[str]:
    """The last error of a log with its hint; else the last lines."""
    text = _read(path)
    errors = ERROR.findall(text)
    last = errors[-1].splitlines() if errors else [line for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return [f"    log: {path}", *(f"    {line.rstrip()}" for line in last)]


def _read(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""


def _tells(record: LogRecord) -> bool:
    """Whether a person needs the message. The empty line before the description of a job is not needed either."""
    return getattr(record, "event", None) != LogEvent.JOB_INFO and not CHATTER.match(str(record.msg))


class LogHandler(LogHandlerBase):  # type: ignore[misc]
    """Writes to the terminal, with Snakemake's colours."""

    def __post_init__(self) -> None:
        settings = self.common_settings
        plain = settings.dryrun or settings.verbose
        formatter = (DefaultFormatter if plain else OneLineAStep)(settings.quiet, settings.show_failed_logs)
        self.terminal = ColorizingTextHandler(
            nocolor=settings.nocolor,
            stream=sys.stdout if settings.stdout else sys.stderr,
            formatter=formatter,
            filter=DefaultFilter(
                settings.quiet, settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds
            ),
        )
        if not plain:
            self.terminal.addFilter(_tells)

    def emit(self, record: LogRecord) -> None:
        """Write a record. The reader can have ended before, such as `head`."""
        with suppress(BrokenPipeError):
            self.terminal.handle(record)

    @property
    def writes_to_stream(self) -> bool:
        """Whether this handler replaces Snakemake's own handler: yes."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Whether this handler writes to a file: no, Snakemake writes the log file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Whether this handler has its own filter: yes, that of the terminal."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Whether this handler has its own formatter: yes, that of the terminal."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Whether this handler needs the graph of rules: no."""
        return False
