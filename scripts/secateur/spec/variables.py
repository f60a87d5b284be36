"""Environment variables in the values of a spec: `$NAME` and `${NAME}` in paths, `${oc.env:NAME}` in all values.

Only the key may be a secret. See docs/decisions/spec-releases.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from secateur.errors import SpecError
from secateur.spec.spec_text import KEYS, SpecText, plain_value

# Words of the names of variables that hold secrets, such as AWS_SECRET_ACCESS_KEY and WANDB_API_KEY.
SECRET_WORDS = {
    "KEY", "KEYS", "APIKEY", "TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE",
    "PASS", "PWD", "CREDENTIAL", "CREDENTIALS", "AUTH",
}  # fmt: skip
# PGPASSWORD and GITHUBTOKEN; not KEY, with which other words end too.
SECRET_ENDS = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY")
# Of the working directory.
NO_SECRETS = ("PWD", "OLDPWD")
POINTERS = ("env:", "file:")
HINT = "only `key` may be a secret; write the value itself, or use a variable with another name"
NAME = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)


def variable(parsed: SpecText, name: str, path: str, where: str) -> str | None:
    """The environment variable that the value at `path` names; None if it is not set.

    Args:
        parsed: the file; it notes the variable, for `refuse_variables_of_key`.
        name: of the variable.
        path: dotted path of the value, in the words of the file or of V1.
        where: the place of the value, for errors.

    Raises:
        SpecError: the variable looks secret, and the value is not the key; or its text is not UTF-8.
    """
    if path not in KEYS:
        if _looks_secret(name):
            raise _secret(name, where)
        parsed.variables.setdefault(name, where)
    return plain_value(os.environ.get(name), where)  # type: ignore[no-any-return]


def expanded(parsed: SpecText, text: str, path: str, where: str) -> str:
    """A path with the values of the variables that it names; one that is not set stays. Raises as `variable`."""

    def value(match: re.Match[str]) -> str:
        found = variable(parsed, match[1] or match[2], path, where)
        return match[0] if found is None else found

    return NAME.sub(value, text)


def refuse_variables_of_key(parsed: SpecText, keys: Iterable[Any]) -> None:
    """Raise SpecError if a value that is not the key has the variable of the key, `env:NAME`.

    This is possible only when all references are replaced: the key can be one too, or on the command line.
    """
    for key in keys:
        name = key.removeprefix("env:") if isinstance(key, str) and key.startswith("env:") else ""
        if name in parsed.variables:
            raise _secret(name, parsed.variables[name])


def _secret(name: str, where: str) -> SpecError:
    return SpecError(f"{where}: the variable {name} looks secret, and would stand in reports and models", HINT)


def _looks_secret(name: str) -> bool:
    words = set(re.findall("[A-Z]+", name.upper()))
    return name not in NO_SECRETS and (bool(words & SECRET_WORDS) or any(word.endswith(SECRET_ENDS) for word in words))
