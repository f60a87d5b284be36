"""A process that dies at its n-th write, fsync, rename or removal: `die_at` is what it runs.

It ends with 9 when it dies, and with 0 when n is beyond the last.
"""

import builtins
import os
import pathlib

COUNT = [0]
DIES_AT = [0]
FOLDER = [""]


def step():
    COUNT[0] += 1
    if COUNT[0] == DIES_AT[0]:
        os._exit(9)


def dying(function):
    """Before and after: a rename can have happened or not."""

    def wrapped(*positional, **named):
        step()
        result = function(*positional, **named)
        step()
        return result

    return wrapped


class DyingFile:
    """A file whose write can stop in its middle."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, data):
        half = len(data) // 2
        self.stream.write(data[:half])
        self.stream.flush()
        step()
        return half + self.stream.write(data[half:])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stream.close()

    def __getattr__(self, name):
        return getattr(self.stream, name)


real_open = builtins.open


def dying_open(path, mode="r", *positional, **named):
    stream = real_open(path, mode, *positional, **named)
    return DyingFile(stream) if set("wx") & set(mode) and str(path).startswith(FOLDER[0]) else stream


def checkpoints(folder):
    import numpy as np
    from secateur.training.checkpoints import Checkpoints, TrainingState

    keeper = Checkpoints(pathlib.Path(folder), "k")
    for epoch in range(1, 5):
        keeper.write([np.full(1000, epoch, np.float32)], TrainingState(epoch=epoch))


def artifact(folder):
    from secateur.storage.atomic import write_text

    write_text(pathlib.Path(folder) / "a.json", "new " * 10_000)


def rekey(folder):
    from secateur.vault.files import rekey_file

    rekey_file(pathlib.Path(folder) / "m.tlt", "old", "new")


def die_at(number, case, folder):
    """In a process of its own: it changes what files do."""
    import secateur.storage.atomic
    import secateur.training.checkpoints

    DIES_AT[0], FOLDER[0] = number, folder
    secateur.storage.atomic.open = dying_open
    os.fsync, os.replace, os.unlink = dying(os.fsync), dying(os.replace), dying(os.unlink)
    {"checkpoints": checkpoints, "artifact": artifact, "rekey": rekey}[case](folder)
