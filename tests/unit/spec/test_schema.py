import json

import pytest
import yaml
from jsonschema import Draft202012Validator
from secateur.spec.schema import schema


def test_the_committed_schema_is_current(repository):
    assert json.loads((repository / "config/spec.schema.json").read_text()) == schema(), "run `make reference`"


@pytest.mark.parametrize("name", ["quickstart", "clothing", "specification-sample"])
def test_our_own_specs_fit(repository, name):
    spec = yaml.safe_load((repository / f"config/specs/{name}.yaml").read_text())
    Draft202012Validator.check_schema(schema())
    assert not list(Draft202012Validator(schema()).iter_errors(spec))


@pytest.mark.parametrize(
    ("spec", "valid"),
    [
        ({"model": {"input_image_size": "3,64,64"}}, True),
        ({"train": {"reg_config": {"type": "L2"}, "optim_config": {"optimizer": "SGD"}}}, True),
        ({"train": {"num_epoch": 3}}, False),
        ({"train": {"lr_config": {"scheduler": "steps"}}}, False),
        ({"prune": {"threshold": "much"}}, False),
    ],
)
def test_editors_are_told_what_is_wrong(spec, valid):
    assert Draft202012Validator(schema()).is_valid(spec) is valid
