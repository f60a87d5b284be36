"""The bundle's predict.py as its receiver runs it: encrypted models, consoles without letters, phones' files."""

import hashlib
import importlib.util
import json
import os
import resource
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from secateur.data.pipeline import ImageReader
from secateur.export.bundle.bundle_manifest import MANIFEST, bundle_manifest
from secateur.export.bundle.script import predict_script
from secateur.export.input_scaling import preprocessing_of
from secateur.spec import parse_spec
from secateur.storage.atomic import write_json
from secateur.vault import age

KEY = "secret pass-phrase"
SPEC = parse_spec("data: {preprocess_mode: torch}\nmodel: {arch: resnet_10, input_image_size: [3, 24, 32]}\n")
# In Latin-1, in no eight-bit set, and outside Unicode's first plane.
LABELS = ("Kühe", "猫", "🦆")


@pytest.fixture
def bundle(tmp_path):
    """The folder of an export, with a network that answers by the mean colour, and one photograph for each label."""
    folder = tmp_path / "received"
    folder.mkdir()
    (folder / "predict.py").write_bytes(predict_script())
    write_json(folder / "preprocessing.json", {**preprocessing_of(SPEC), "model": "modèle.onnx"})
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS), "utf-8")
    (folder / "modèle.onnx").write_bytes(by_mean_colour())
    for number in range(len(LABELS)):
        Image.new("RGB", (40, 30), tuple(200 if number == band else 20 for band in range(3))).save(
            tmp_path / f"{number}.jpg"
        )
    return folder


def by_mean_colour():
    """Red, green or blue, whichever is the most: a small real network."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input_1"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["vector"]),
        helper.make_node("Gemm", ["vector", "kernel"], ["sums"], transB=1),
        helper.make_node("Softmax", ["sums"], ["predictions"]),
    ]
    given = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["batch", 3, 24, 32])
    made = helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["batch", 3])
    kernel = numpy_helper.from_array(np.eye(3, dtype=np.float32), "kernel")
    graph = helper.make_graph(nodes, "colours", [given], [made], [kernel])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


@pytest.fixture
def encrypted(bundle):
    """The same folder with the model encrypted."""
    target = encrypt(bundle, KEY)
    write_json(bundle / MANIFEST, bundle_manifest(bundle, [target], "0" * 64))
    return bundle


def encrypt(folder, key):
    """Replace the plain model by an encrypted one, with a key that is quickly derived."""
    plain, target = folder / "modèle.onnx", folder / "modèle.etlt"
    with open(plain, "rb") as stream, open(target, "wb") as out:
        age.seal(stream, out, key, work_factor=8)
    plain.unlink()
    return target


def program(folder):
    found = importlib.util.spec_from_file_location("predict", folder / "predict.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def said(monkeypatch, capsys):
    """Run the script: (folder, words) -> exit code, lines of standard output, standard error."""

    def run(folder, *words):
        monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(program(folder).main())
        out, error = capsys.readouterr()
        return stopped.value.code, out.splitlines(), error

    return run


def photographs(folder):
    return [folder.parent / f"{number}.jpg" for number in range(len(LABELS))]


def run_alone(folder, *words, **environment):
    """In a process that can write nothing but its two pipes: no file may grow."""
    return subprocess.run(
        [sys.executable, "-I", "-X", "utf8=0", folder / "predict.py", *words],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )


def test_an_encrypted_model_answers_as_the_plain_one_and_is_never_on_the_disk(bundle, tmp_path):
    plain = run_alone(bundle, *photographs(bundle))
    assert plain.returncode == 0, plain.stderr.decode()
    assert [line.split("\t")[1] for line in plain.stdout.decode().splitlines()] == list(LABELS)
    encrypt(bundle, KEY)
    before = sorted(tmp_path.rglob("*"))
    encrypted = run_alone(bundle, "--key", "env:DEVICE_KEY", *photographs(bundle), DEVICE_KEY=KEY)
    assert (encrypted.returncode, encrypted.stdout) == (0, plain.stdout), encrypted.stderr.decode()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"", b"\nsecond line\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_key_in_a_file_is_its_first_line(encrypted, said, mark, ending):
    file = encrypted.parent / "key"
    file.write_bytes(mark + KEY.encode() + ending)
    file.chmod(0o600)
    code, lines, error = said(encrypted, "--key", f"file:{file}", *photographs(encrypted))
    assert (code, len(lines), error) == (0, len(LABELS), "")
    file.chmod(0o644)
    code, lines, error = said(encrypted, "--key", f"file:{file}", *photographs(encrypted))
    assert (code, len(lines)) == (0, len(LABELS))
    assert error == f"warning: other users can read the key file {file}: chmod 600 {file}\n"


def test_a_key_typed_on_another_system_is_the_same_key(bundle, said, monkeypatch):
    encrypt(bundle, "k\u00e4se")
    monkeypatch.setenv("DEVICE_KEY", "ka\u0308se")
    assert said(bundle, "--key", "env:DEVICE_KEY", *photographs(bundle))[0] == 0


def test_without_a_key_it_says_what_to_do(encrypted, said):
    code, lines, error = said(encrypted, *photographs(encrypted))
    assert (code, lines) == (4, [])
    assert error == (
        "error: modèle.etlt is encrypted\n"
        "hint: give its key: python predict.py --key env:NAME IMAGE, or --key file:PATH\n"
    )


def test_a_plain_file_that_was_put_beside_it_still_works(encrypted, said):
    (encrypted / "modèle.onnx").write_bytes(by_mean_colour())
    assert said(encrypted, *photographs(encrypted))[0] == 0


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("env:NOT_THERE", "error: the environment variable NOT_THERE is not set\n"),
        (
            "env:WRONG",
            "error: wrong key for modèle.etlt\nhint: give the passphrase of the export, the key of its spec\n",
        ),
        (KEY, "error: --key takes no passphrase, which other users of the machine could read\n"),
        ("file:/not/there", "error: cannot read the key file /not/there: "),
        ("file:{empty}", " is empty\nhint: put the passphrase of the export there"),
        ("file:{binary}", "error: cannot read the key file "),
    ],
)
def test_keys_that_do_not_fit(encrypted, said, monkeypatch, given, what):
    monkeypatch.setenv("WRONG", "another pass-phrase")
    empty, binary = encrypted.parent / "empty", encrypted.parent / "binary"
    empty.touch()
    binary.write_bytes(b"\xff\xfe\x00")
    code, lines, error = said(encrypted, "--key", given.format(empty=empty, binary=binary), *photographs(encrypted))
    assert (code, lines) == (4, [])
    assert what in error
    assert "Traceback" not in error
    assert KEY not in error
    assert "another pass-phrase" not in error


def test_files_of_the_bundle_that_do_not_belong_together(bundle, said):
    model = onnx.load_model_from_string(by_mean_colour())
    helper.set_model_props(model, {"classes": json.dumps(LABELS)})
    (bundle / "modèle.onnx").write_bytes(model.SerializeToString())
    right = said(bundle, *photographs(bundle))
    assert right[0] == 0
    (bundle / "labels.txt").write_text("\n".join(reversed(LABELS)), "utf-8")
    code, lines, error = said(bundle, *photographs(bundle))
    assert (code, lines) == right[:2]
    assert error == "warning: labels.txt has other classes than the model, whose own are used\n"
    (bundle / "labels.txt").unlink()
    assert said(bundle, *photographs(bundle)) == right
    (bundle / "modèle.onnx").write_bytes(by_mean_colour())
    code, _, error = said(bundle, *photographs(bundle))
    assert (code, error) == (4, "error: labels.txt is missing\nhint: copy the whole folder of the export\n")
    (bundle / "modèle.onnx").write_bytes(by_mean_colour()[:100])
    code, _, error = said(bundle, *photographs(bundle))
    assert code == 4
    assert error.startswith("error: modèle.onnx cannot be opened: ")
    assert error.count("\n") == 2


def test_names_are_shown_as_text(bundle, said):
    odd = bundle / "a\t\x1b[31m\nb.jpg"
    odd.write_bytes(photographs(bundle)[0].read_bytes())
    _, lines, _ = said(bundle, odd, f"{odd}2")
    assert [line.split("\t")[1:2] for line in lines] == [[LABELS[0]]]
    assert lines[0].startswith(f"{bundle}/a\\t\\x1b[31m\\nb.jpg")


@pytest.mark.parametrize(("to", "said"), [("| head -1", ""), ("> /dev/full", "cannot write the answers: No space")])
def test_answers_that_cannot_be_written(bundle, to, said):
    command = f'"{sys.executable}" "{bundle}/predict.py" {" ".join(map(str, photographs(bundle) * 300))} {to}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert said in done.stderr


def test_without_pyrage_it_names_the_package(encrypted, said, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrage", None)
    monkeypatch.setenv("DEVICE_KEY", KEY)
    code, _, error = said(encrypted, "--key", "env:DEVICE_KEY", *photographs(encrypted))
    assert code == 4
    assert error.endswith("the package pyrage, which opens it, is missing\nhint: pip install pyrage\n")


def changed(content):
    return content[:-40] + bytes([content[-40] ^ 1]) + content[-39:]


@pytest.mark.parametrize("damage", [changed, lambda content: content[:-9], lambda content: b"", lambda content: b"ab"])
def test_a_damaged_file_is_told_from_a_wrong_key(encrypted, said, monkeypatch, damage):
    monkeypatch.setenv("DEVICE_KEY", KEY)
    file = encrypted / "modèle.etlt"
    file.write_bytes(damage(file.read_bytes()))
    words = ("--key", "env:DEVICE_KEY", *photographs(encrypted))
    code, _, error = said(encrypted, *words)
    assert code == 4
    assert "error: modèle.etlt is damaged: it is not the file in MANIFEST.json" in error
    (encrypted / MANIFEST).unlink()
    assert "modèle.etlt cannot be opened: the key is wrong, or the file is damaged" in said(encrypted, *words)[2]


def test_a_key_for_a_plain_model_and_no_model_at_all(bundle, said, monkeypatch):
    monkeypatch.setenv("DEVICE_KEY", KEY)
    assert "--key is given, and modèle.onnx is not encrypted" in said(bundle, "--key", "env:DEVICE_KEY", "x.jpg")[2]
    (bundle / "modèle.onnx").unlink()
    for words in ((), ("--key", "env:DEVICE_KEY")):
        code, _, error = said(bundle, *words, "x.jpg")
        assert code == 4
        assert "error: the model is missing: modèle.onnx or modèle.etlt\n" in error


CONSOLES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "a German Windows": {"PYTHONIOENCODING": "cp1252"},
    "an old DOS window": {"PYTHONIOENCODING": "cp437:strict"},
    "a server without a locale": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("console", CONSOLES)
def test_a_console_without_the_letters_of_a_label(bundle, console):
    # Such a server cannot name a file in other letters either.
    (bundle / "modèle.onnx").rename(bundle / "m.onnx")
    write_json(bundle / "preprocessing.json", {**preprocessing_of(SPEC), "model": "m.onnx"})
    # `-I` would hide the variables.
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", bundle / "predict.py", *photographs(bundle)],
        capture_output=True,
        check=False,
        env={**os.environ, **CONSOLES[console]},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    labels = [line.split(b"\t")[1] for line in done.stdout.splitlines()]
    assert labels[1:] == [b"\\u732b", b"\\U0001f986"]
    assert labels[0] in (b"K\\xfche", "Kühe".encode("cp1252"), "Kühe".encode("cp437"))


def test_a_file_name_that_is_no_utf_8(bundle):
    path = os.fsencode(bundle.parent) + b"/\xff.jpg"
    with open(path, "wb") as stream:
        Image.new("RGB", (9, 9)).save(stream, "JPEG")
    done = run_alone(bundle, path, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_image_that_cannot_be_read_does_not_stop_the_others(bundle, said):
    first, *others = photographs(bundle)
    cut = bundle.parent / "cut.jpg"
    cut.write_bytes(first.read_bytes()[:200])
    code, lines, error = said(bundle, first, cut, bundle.parent / "none.jpg", *others)
    assert (code, len(lines)) == (1, len(LABELS))
    assert [line.partition(".jpg: ")[0] for line in error.splitlines()] == [
        f"error: {bundle.parent}/cut",
        f"error: {bundle.parent}/none",
    ]


@pytest.mark.parametrize("turn", [None, 1, 3, 6, 8])
@pytest.mark.parametrize("crop", [False, True])
def test_the_mpo_of_phones_is_read_as_in_training(bundle, turn, crop):
    noise = np.random.default_rng(3).integers(0, 255, (17, 23, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((900, 700), Image.Resampling.BICUBIC)
    options = {"append_images": [picture.transpose(Image.Transpose.ROTATE_180)]}
    if turn:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = turn
    path = bundle.parent / "phone.jpg"
    picture.save(path, "MPO", save_all=True, **options)
    assert Image.open(path).format == "MPO"
    spec = parse_spec(
        f"data: {{preprocess_mode: torch}}\naugment: {{enable_center_crop: {crop}}}\n"
        "model: {arch: resnet_10, input_image_size: [3, 24, 32]}\n"
    )
    write_json(bundle / "preprocessing.json", {**preprocessing_of(spec), "model": "modèle.onnx"})
    theirs = ImageReader(spec.data, spec.augment, spec.model, 1).read(str(path))
    np.testing.assert_allclose(program(bundle).pixels(str(path))[0], theirs.transpose(2, 0, 1), atol=1e-5)


def test_the_words_that_the_script_says_of_itself(bundle, said, capsys):
    code, _, _ = said(bundle, "--help")
    assert code == 0
    assert said(bundle)[0] == 2
    assert json.loads((bundle / "preprocessing.json").read_text())["model"] == "modèle.onnx"


def test_a_plain_model_of_another_export_is_said(bundle, tmp_path):
    card = json.loads((bundle / "preprocessing.json").read_text())
    same = hashlib.sha256((bundle / "modèle.onnx").read_bytes()).hexdigest()
    for digest, said in ((same, ""), ("0" * 64, "warning: modèle.onnx is of another export, or it was changed\n")):
        write_json(bundle / "preprocessing.json", {**card, "plain_sha256": digest})
        done = run_alone(bundle, tmp_path / "0.jpg", PYTHONIOENCODING="utf-8")
        assert (done.returncode, done.stderr.decode("utf-8", "replace")) == (0, said)


def test_a_large_progressive_jpeg_is_refused_as_in_training(bundle, tmp_path):
    write_json(bundle / "preprocessing.json", {**preprocessing_of(SPEC), "model": "modèle.onnx", "max_pixels": 20_000})
    image = Image.new("RGB", (200, 150), (200, 20, 20))
    image.save(tmp_path / "camera.jpg")
    image.save(tmp_path / "web.jpg", progressive=True)
    done = run_alone(bundle, tmp_path / "camera.jpg", tmp_path / "web.jpg")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{tmp_path / 'camera.jpg'}\t".encode())
    assert done.stderr == f"error: {tmp_path / 'web.jpg'}: 200 x 150 pixels, more than 20,000\n".encode()
