"""What a step says, on the terminal and in its log."""

import io
import os
import pty

from secateur.workflow.job import Tee


def test_lines_on_the_terminal_begin_with_the_experiment_and_errors_do_not():
    console, log = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    tee = Tee(console, log, "shoes")
    print("train  resnet_10", "3 epochs", file=tee)
    print("warning: two\nlines", file=tee)
    print("error: two files:\n  a.jpg\nhint: remove them\nlog: x.log", file=tee)
    console.seek(0)
    assert console.read() == (
        "shoes  train  resnet_10 3 epochs\nshoes  warning: two\nshoes  lines\n"
        "error: two files:\n  a.jpg\nhint: remove them\nlog: x.log\n"
    )
    assert "shoes" not in log.getvalue()
    assert log.getvalue().startswith("train  resnet_10 3 epochs\n")


def test_what_redraws_a_line_stays_out_of_the_log():
    console, log = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    tee = Tee(console, log, "shoes")
    tee.write("\repoch 1  50%")
    tee.write("\r            \r")
    print("train  done", file=tee)
    console.seek(0)
    assert console.read().endswith("shoes  train  done\n")
    assert log.getvalue() == "train  done\n"


def test_a_closed_terminal_stops_no_training():
    """Writing to it fails (EIO), which is not the fault of the step."""
    ours, terminal = pty.openpty()
    console, log = os.fdopen(terminal, "w", buffering=1), io.StringIO()
    os.close(ours)
    tee = Tee(console, log, "shoes")
    tee.write("\repoch 1  50%")
    print("train  epoch 1", file=tee, flush=True)
    print("train  epoch 2", file=tee, flush=True)
    assert log.getvalue() == "train  epoch 1\ntrain  epoch 2\n"
