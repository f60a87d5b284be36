"""`config/spec.schema.json`: editors complete and check a spec with it. `python -m secateur.spec.schema` writes it."""

from __future__ import annotations

import json
from typing import Any

from secateur.spec.spec import Spec

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The JSON schema of a spec in the words of V1, generated from the models.

    The schema accepts what the loader accepts: words of lists in any case, and `input_image_size` as text.
    """
    made = Spec.model_json_schema()
    definitions = made["$defs"]
    size = definitions["ModelSpec"]["properties"]["input_image_size"]
    definitions["ModelSpec"]["properties"]["input_image_size"] = {
        **{key: size.pop(key) for key in ("description", "title", "default") if key in size},
        "anyOf": [size, {"type": "string", "pattern": r"^\s*\d+\s*,\s*\d+\s*,\s*\d+\s*$"}],
    }
    _any_case(made)
    return {"$schema": DRAFT, **made, "title": "secateur spec"}


def _any_case(part: Any) -> None:
    """Add the spellings in capitals, which TAO's own specs use, to every list of words."""
    if isinstance(part, dict):
        words = part.get("enum")
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            part["enum"] = list(dict.fromkeys([*words, *(word.upper() for word in words)]))
        if isinstance(part.get("const"), str):
            word = part.pop("const")
            part["enum"] = [word, word.upper()]
        for value in part.values():
            _any_case(value)
    if isinstance(part, list):
        for value in part:
            _any_case(value)


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
