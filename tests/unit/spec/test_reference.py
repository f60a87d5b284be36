"""The reference of all keys is what the code says."""

from secateur.spec.reference import reference


def test_config_readme_is_current(repository):
    assert (repository / "config/README.md").read_text() == reference(), "run `make reference`"
