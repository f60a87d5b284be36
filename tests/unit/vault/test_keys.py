"""Where the key comes from, and what is refused as one (row K7 of docs/reliability.md)."""

import os
import traceback

import pytest
from secateur.errors import SecateurError, SpecError, VaultError
from secateur.spec import load_spec, parse_spec
from secateur.vault.keys import key_of, resolve_key

SECRET = "tr0ub4dor-and-3"


def test_a_literal_an_environment_variable_and_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_KEY", SECRET)
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbf" + SECRET.encode() + b"\r\nmore\n")
    (tmp_path / "key").chmod(0o600)
    for text in (SECRET, "env:SOME_KEY", f"file:{tmp_path}/key"):
        assert resolve_key(text) == SECRET


def test_a_pipe_of_the_shell():
    """`--key file:<(pass show models)`."""
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode() + b"\n")
    os.close(writing)
    assert resolve_key(f"file:/dev/fd/{reading}") == SECRET
    os.close(reading)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    (tmp_path / "key").write_text(SECRET)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(VaultError, match="other users can read") as error:
        resolve_key(f"file:{tmp_path}/key")
    assert error.value.hint == f"chmod 600 {tmp_path}/key"


@pytest.mark.parametrize("content", [b"", b"\n", b"\nkey", b"\xff\xfe"])
def test_a_file_without_a_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(VaultError, match=r"is empty|cannot read"):
        resolve_key(f"file:{tmp_path}/key")


@pytest.mark.parametrize("bad", ["two\nlines", "nul\0byte", "tab\tulator", "\x1b[0m"])
def test_control_characters_are_refused_without_being_shown(bad):
    with pytest.raises(VaultError, match="control character") as error:
        resolve_key(bad)
    assert bad not in str(error.value)


def test_composed_and_decomposed_letters_are_one_key():
    assert resolve_key("cafe\u0301") == resolve_key("caf\u00e9") == "caf\u00e9"


def test_no_key_and_a_missing_variable():
    with pytest.raises(VaultError, match="the spec has no key"):
        key_of(parse_spec("train: {}"))
    os.environ.pop("NOT_SET_ANYWHERE", None)
    with pytest.raises(VaultError, match="NOT_SET_ANYWHERE is not set"):
        key_of(parse_spec("key: env:NOT_SET_ANYWHERE"))


@pytest.mark.parametrize(
    "line",
    [
        f"key: !!int {SECRET}",
        f"key: !{SECRET} x",
        f"key: *{SECRET}",
        f"encryption_key: !!float {SECRET}",
        f"key: [{SECRET}]",
        f"key: {{{SECRET}: 1}}",
        f"key: '{SECRET}\ntrain: {{}}",
        f"key: {SECRET}: {SECRET}",
        f"key: {SECRET}\ntrain: {{num_epochs: wrong}}",
        f"key: {SECRET}\nkey: {SECRET}",
        f"key: !!timestamp {SECRET}",
        f"key: !!binary {SECRET}",
        f"key: !!bool {SECRET}",
        f"key: !!null {SECRET}",
        f"{{data: {{source: imgs}}, key: *{SECRET}}}",
        f"key:\n  *{SECRET}",
        f"key:\n  !{SECRET} x",
        f"key: ${{{SECRET}}}",
        f"key: a${{oc.env:{SECRET}}}",
        f"key: a${{{SECRET}:x}}",
        f"key: ['${{{SECRET}}}']",
        f"key: {{{SECRET}: 1, {SECRET}: 2}}",
        f"key: {{{SECRET}: '${{x}}'}}",
        f"{{key:{SECRET}: x}}",
        f"{{key: my, {SECRET}, model: {{}}}}",
        f'key: "{SECRET}\\0"',
        f'key: "{SECRET}\\ud800"',
        "model_config { arch: 'resnet' }\nencryption_key: my tr0ub4dor pass",
        f"model_config {{ arch: 'resnet' }}\nencryption_key: \"{SECRET}",
        "model_config { arch: 'resnet' }\nencryption_key { tr0ub4dor: 1 }",
    ],
)
def test_no_error_of_a_spec_shows_its_key(line):
    with pytest.raises(SecateurError) as error:
        key_of(parse_spec(line))
    word = SECRET.partition("-")[0]
    assert word not in str(error.value)
    assert word not in "".join(traceback.format_exception(error.value))


def test_an_override_takes_no_literal_key(tmp_path):
    (tmp_path / "s.yaml").write_text("train: {}\n")
    for name in ("key", "encryption_key", "key.x"):
        with pytest.raises(SpecError, match="takes env:NAME or file:PATH here") as error:
            load_spec(tmp_path / "s.yaml", [f"{name}={SECRET}"])
        assert SECRET not in str(error.value)
    assert load_spec(tmp_path / "s.yaml", ["key=env:A"]).key.get_secret_value() == "env:A"


def test_a_spec_in_words_hides_its_key():
    assert SECRET not in repr(parse_spec(f"key: {SECRET}"))
