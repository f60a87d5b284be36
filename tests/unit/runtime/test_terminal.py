"""What is printed: no control characters but those of progress bars."""

import io
import sys

import pytest
from secateur.runtime.terminal import Printable, one_line, printable, printable_output
from tqdm import tqdm

HOSTILE = "\x1b[2K\x1b[1A\x1b]0;owned\x07\x9b31m\r split  all is well \u202egpj.exe\u2066\udcff\u2028"


def test_nothing_moves_the_cursor_or_turns_letters_around():
    shown = printable(HOSTILE)
    assert all(code not in shown for code in "\x1b\x07\x9b\r\u202e\u2066\udcff\u2028")
    assert r"\x1b]0;owned\x07" in shown
    shown.encode()


def test_a_name_is_one_line_and_a_text_keeps_its_lines():
    assert one_line("a\nerror: all is well\tb") == r"a\nerror: all is well\tb"
    assert printable("a\n\tb") == "a\n\tb"
    assert printable("äöü 漢字 😀 e\u0301 \u200d") == "äöü 漢字 😀 e\u0301 \u200d"


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_all_that_a_command_prints(capsys, where):
    before = getattr(sys, where)
    with printable_output():
        print(HOSTILE, file=getattr(sys, where))
    assert getattr(sys, where) is before
    assert "\x1b" not in getattr(capsys.readouterr(), where[3:])


def test_a_progress_bar_still_draws(capsys):
    stream = Printable(sys.stderr)
    for _ in tqdm(range(3), file=stream, desc="train 1/2"):
        pass
    assert "\rtrain 1/2: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_letters_that_the_terminal_does_not_have(monkeypatch, where):
    shown = io.BytesIO()
    stream = io.TextIOWrapper(shown, "cp1252", write_through=True)
    monkeypatch.setattr(sys, where, stream)
    with printable_output():
        print("Größe 猫", file=getattr(sys, where))
    assert shown.getvalue().strip() == b"Gr\xf6\xdfe \\u732b"
    assert stream.errors == "strict"
