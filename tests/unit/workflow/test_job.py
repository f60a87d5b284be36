"""What a step says, on the terminal and in its log."""

import io

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
