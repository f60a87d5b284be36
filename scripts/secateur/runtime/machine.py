"""What programs expect of a machine and containers lack: a name of the user, folders for caches and temporary files."""

from __future__ import annotations

import codecs
import locale
import os
import pwd
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from secateur.errors import ArtifactError

# Where Python looks for the user's name (`getpass`) and for temporary files (`tempfile`), in this order.
USER_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
TEMPORARY_NAMES = ("TMPDIR", "TEMP", "TMP")
TEMPORARY_FOLDERS = ("/tmp", "/var/tmp", "/usr/tmp")
# Less than this is a full or a tiny disk.
NEEDED_BYTES = 1 << 20


def missing_user(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with a name for a user without an entry in passwd: `docker run --user 1234:1234`."""
    if any(environment.get(name) for name in USER_NAMES) or _entry():
        return {}
    name = f"uid{os.getuid()}"
    return {"USER": name, "LOGNAME": name}


def utf8_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for a locale with another encoding: names of files are UTF-8, the terminal keeps its encoding.

    Without them the folder of the class `Größe` becomes a class with other letters.
    """
    encoding = locale.getpreferredencoding(False)
    if codecs.lookup(encoding).name == "utf-8":
        return {}
    shown = environment.get("PYTHONIOENCODING") or f"{encoding}:backslashreplace"
    return {"PYTHONUTF8": "1", "PYTHONIOENCODING": shown}


def said(settings: Mapping[str, str]) -> str:
    """The line for the user about variables that were set."""
    return "set for this run, since this machine has nothing usable there: " + " ".join(
        f"{name}={value}" for name, value in settings.items()
    )


def missing_settings(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Variables that replace what programs could not work with.

    Args:
        environment: of the programs.
        folder: in which they run. Folders that are needed are made below its `.snakemake`.

    Returns:
        Name -> value of `USER`, `LOGNAME`, `TMPDIR`, `HOME`, `XDG_CACHE_HOME`; those that are needed.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    own = folder / ".snakemake"
    for path in (folder, own):
        if path.exists() and not writable(path):
            raise ArtifactError(
                f"{path.absolute()} cannot be written by the user with number {os.getuid()}, or its disk is full",
                "run as the owner of the folder, or name another with -d",
            )
    spare = own / "secateur"
    found = missing_user(environment)
    found |= _temporary(environment, spare / "tmp")
    found |= _home(environment, spare / "home")
    found |= _cache({**environment, **found}, spare / "cache")
    return found


def writable(folder: Path | str) -> bool:
    """Whether files can be written there, of a megabyte at least. The permissions alone do not tell."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(NEEDED_BYTES))
            file.flush()
    except OSError:
        return False
    return True


def _temporary(environment: Mapping[str, str], spare: Path) -> dict[str, str]:
    chosen = next((environment[name] for name in TEMPORARY_NAMES if environment.get(name)), "")
    if chosen and writable(chosen):
        return {}
    usual = next((path for path in TEMPORARY_FOLDERS if writable(path)), None)
    if usual == TEMPORARY_FOLDERS[0] and not chosen:
        return {}
    return {"TMPDIR": usual or _made(spare)}


def _home(environment: Mapping[str, str], spare: Path) -> dict[str, str]:
    entry = _entry()
    home = environment.get("HOME") or (entry.pw_dir if entry else "")
    return {} if home and writable(home) else {"HOME": _made(spare)}


def _cache(environment: Mapping[str, str], spare: Path) -> dict[str, str]:
    """Snakemake makes folders in the cache of the user before it reads anything."""
    home = environment.get("HOME") or Path.home()
    folder = Path(environment.get("XDG_CACHE_HOME") or Path(home, ".cache")) / "snakemake"
    for part in (folder, folder / "snakemake", folder / "snakemake/source-cache"):
        with suppress(OSError):
            part.mkdir(parents=True, exist_ok=True)
        if not writable(part):
            return {"XDG_CACHE_HOME": _made(spare)}
    return {}


def _made(folder: Path) -> str:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"cannot make {folder}: {error.strerror}", "name another folder with -d") from error
    return str(folder.absolute())


def _entry() -> pwd.struct_passwd | None:
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid())
    return None
