"""Rows M1 to M5 of docs/reliability.md, model files of strangers: refused with exit 5 or 6.

Nothing is written, and nothing is imported.
"""

import json
import sys
import warnings
import zipfile

import h5py
import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from secateur.byom.backbone import build_byom
from secateur.cli.main import main
from secateur.errors import ModelError, UntrustedModelError
from secateur.models.file import load_model, save_model
from secateur.spec import ModelSpec
from secateur.training.pretrained import start_from
from secateur.vault import files as vault_files
from secateur.zoo import build

SPEC = ModelSpec(arch="resnet_10", input_image_size="3,32,32")
BYOM = ModelSpec(arch="byom", byom_model="m.tltb", input_image_size="3,32,32")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Members of a sound file, which tests take over and change."""
    tmp_path = tmp_path_factory.mktemp("archive")
    keras.utils.set_random_seed(0)
    build(SPEC, 4).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good:
        return {name: good.read(name) for name in good.namelist()}


def written(path, members):
    """Members may be twice: a list of pairs."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        warnings.simplefilter("ignore")
        for name, content in members:
            target.writestr(name, content)
    return path


def assert_refused(tmp_path, path, said):
    """By each way in, plain and sealed, and with nothing left behind."""
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    with pytest.raises(UntrustedModelError, match=said):
        load_model(path, "k")
    with pytest.raises(UntrustedModelError, match=said):
        build_byom(BYOM, path, 4, "k")
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
    vault_files.encrypt_file(path, tmp_path / "m.tltb", "k")
    with pytest.raises(UntrustedModelError, match=said):
        build_byom(BYOM, tmp_path / "m.tltb", 4, "k")


# M1


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ([("../evil.txt", b"x")], "not a Keras archive"),
        ([("/abs.txt", b"x")], "not a Keras archive"),
        ([("config.json", b"{}")], "not a Keras archive"),
        ([("custom_layers.py", b"import os")], "Python code, like TAO's own .tltb"),
        ([(link("secateur.json"), b"/etc/hostname")], "is a link"),
        ([("secateur.json", b" " * (64 << 20))], "is too large after unpacking"),
    ],
    ids=["slip", "absolute", "duplicate", "python", "symlink", "bomb"],
)
def test_m1_archives(tmp_path, archive, extra, said):
    path = written(tmp_path / "m.keras", [*archive.items(), *extra])
    assert_refused(tmp_path, path, said)


# M2


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A module that leaves a trace when it is imported."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "canary_bird.py").write_text(f"open({str(tmp_path / 'sung')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    yield tmp_path / "sung"
    assert not (tmp_path / "sung").exists()
    assert "canary_bird" not in sys.modules


CONFIGS = {
    "lambda": {"class_name": "Lambda", "module": "keras.layers"},
    "tfsm": {"class_name": "TFSMLayer", "module": "keras.layers"},
    "torch": {"class_name": "TorchModuleWrapper", "module": "keras.layers"},
    "lookup": {"class_name": "StringLookup", "module": "keras.layers"},
    "module": {"class_name": "Activation", "module": "canary_bird"},
    "os": {"class_name": "system", "module": "os"},
    "registered": {"registered_name": "canary_bird>Layer"},
    "get_file": {"class_name": "get_file", "module": "keras.utils"},
}


@pytest.mark.parametrize("change", CONFIGS)
def test_m2_configs(tmp_path, archive, canary, change):
    config = json.loads(archive["config.json"])
    config["config"]["layers"][3].update(CONFIGS[change])
    path = written(tmp_path / "m.keras", [*{**archive, "config.json": json.dumps(config)}.items()])
    assert_refused(tmp_path, path, "not a plain layer")


@pytest.mark.parametrize("where", ["initializer", "activation"])
def test_m2_objects_inside_a_layer(tmp_path, archive, canary, where):
    config = json.loads(archive["config.json"])
    layer = next(part for part in config["config"]["layers"] if part["class_name"] == "Conv2D")
    evil = {"class_name": "Layer", "module": "canary_bird", "config": {}, "registered_name": None}
    layer["config"]["kernel_initializer" if where == "initializer" else "activation"] = evil
    path = written(tmp_path / "m.keras", [*{**archive, "config.json": json.dumps(config)}.items()])
    assert_refused(tmp_path, path, "not a plain layer")


@pytest.mark.parametrize(("key", "value"), [("filters", 10**12), ("batch_shape", [None, 10**9, 32, 3])])
def test_m2_sizes_that_the_weights_do_not_have(tmp_path, archive, key, value):
    config = json.loads(archive["config.json"])
    layer = next(part for part in config["config"]["layers"] if key in part["config"])
    layer["config"][key] = value
    path = written(tmp_path / "m.keras", [*{**archive, "config.json": json.dumps(config)}.items()])
    assert_refused(tmp_path, path, "declares 1000000000000 filters|has a dimension of 1000000000")


def test_m2_sizes_that_no_layer_should_have(tmp_path, archive):
    """A kernel that its file does not hold, and what layers without weights make: refused before it is allocated."""
    config = json.loads(archive["config.json"])
    conv = next(part for part in config["config"]["layers"] if part["class_name"] == "Conv2D")
    conv["config"]["kernel_size"] = [60_000, 60_000]
    path = written(tmp_path / "kernel.keras", [*{**archive, "config.json": json.dumps(config)}.items()])
    with pytest.raises(ModelError, match=r"'conv1' has the shapes \[\(60000, 60000, 3, 64\)\], its weights \[\(7, 7"):
        load_model(path, "k")
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.UpSampling2D(60_000)(inputs)).save(tmp_path / "up.keras")
    with pytest.raises(UntrustedModelError, match=r"makes 691,200,000,000 numbers from one image"):
        load_model(tmp_path / "up.keras", "k")
    build(SPEC, 4).save(tmp_path / "sound.keras")
    assert load_model(tmp_path / "sound.keras", "k")[0].count_params() > 0, "what was refused is forgotten"


def test_m2_nested_without_end(tmp_path, archive):
    deep = b'{"config":' * 100_000 + b"1" + b"}" * 100_000
    path = written(tmp_path / "m.keras", [*{**archive, "config.json": deep}.items()])
    assert_refused(tmp_path, path, "not a Keras archive|is too large after unpacking")


# M3


def external_link(file, dataset):
    parent, name = dataset.parent, dataset.name.rpartition("/")[2]
    del parent[name]
    parent[name] = h5py.ExternalLink("/etc/hostname", "/x")


def soft_link(file, dataset):
    parent, name = dataset.parent, dataset.name.rpartition("/")[2]
    del parent[name]
    parent[name] = h5py.SoftLink("/layers")


def virtual(file, dataset):
    parent, name, shape = dataset.parent, dataset.name.rpartition("/")[2], dataset.shape
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource("/etc/hostname", "x", shape)
    del parent[name]
    parent.create_virtual_dataset(name, layout)


def external_storage(file, dataset):
    parent, name, shape = dataset.parent, dataset.name.rpartition("/")[2], dataset.shape
    del parent[name]
    parent.create_dataset(name, shape, "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def shape_bomb(file, dataset):
    parent, name = dataset.parent, dataset.name.rpartition("/")[2]
    del parent[name]
    parent.create_dataset(name, (1 << 20, 1 << 14), "f4", chunks=(1024, 1024), compression="gzip")


def words(file, dataset):
    parent, name = dataset.parent, dataset.name.rpartition("/")[2]
    del parent[name]
    parent.create_dataset(name, data=["a", "b"], dtype=h5py.string_dtype())


M3 = {
    external_link: "a link to another place",
    soft_link: "a link to another place",
    virtual: "data that is stored in another file",
    external_storage: "data that is stored in another file",
    shape_bomb: "bytes that the file does not hold",
    words: "something other than numbers",
}


@pytest.mark.parametrize("change", M3, ids=lambda change: change.__name__)
def test_m3_weights(tmp_path, archive, change):
    path = tmp_path / "m.weights.h5"
    path.write_bytes(archive["model.weights.h5"])
    with h5py.File(path, "a") as file:
        change(file, file["layers/conv2d/vars/0"])
    with pytest.raises(UntrustedModelError, match=M3[change]):
        start_from(build(SPEC, 4), path, "k", SPEC)
    inside = written(tmp_path / "m.keras", [*{**archive, "model.weights.h5": path.read_bytes()}.items()])
    with pytest.raises(UntrustedModelError, match=M3[change]):
        start_from(build(SPEC, 4), inside, "k", SPEC)
    assert_refused(tmp_path, inside, M3[change])


def test_m3_a_heap_that_sends_the_library_in_circles(tmp_path, repository):
    """Found by fuzzing: libhdf5 never returns from it, and no signal reaches it there."""
    hostile = (repository / "bench/fuzz/findings/hdf5-circle.h5").read_bytes()
    (tmp_path / "m.weights.h5").write_bytes(hostile)
    with pytest.raises(UntrustedModelError, match="reading the weights timed out or crashed"):
        start_from(build(SPEC, 4), tmp_path / "m.weights.h5", "k", SPEC)
    with zipfile.ZipFile(repository / "bench/fuzz/seeds/keras-small") as seed:
        members = [(name, seed.read(name)) for name in seed.namelist() if name != "model.weights.h5"]
    written(tmp_path / "m.keras", [*members, ("model.weights.h5", hostile)])
    with pytest.raises(UntrustedModelError, match="reading the weights timed out or crashed"):
        load_model(tmp_path / "m.keras", "k")


# M4


def network(**changes):
    """A valid graph of one convolution, to be spoilt."""
    weights = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 8, 8])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def external(location):
    def change(proto):
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def custom_domain(proto):
    proto.graph.node[0].domain = "com.example"
    proto.opset_import.append(helper.make_opsetid("com.example", 1))


def cyclic(proto):
    proto.graph.node[0].input[0] = "z"
    proto.graph.node.append(helper.make_node("Relu", ["y"], ["z"]))


def dangling(proto):
    proto.graph.node[0].input[0] = "nowhere"


def claims_three_gigabytes(proto):
    proto.graph.initializer[0].dims[:] = [1 << 15, 1 << 15, 1, 1]


def claims_a_giant_side(proto):
    proto.graph.initializer[0].dims[:] = [1 << 40, 1, 1, 1]


def functions(proto):
    proto.functions.append(helper.make_function("own", "f", ["a"], ["b"], [], [helper.make_opsetid("", 17)]))


def graph_inside(proto):
    branch = helper.make_graph([], "b", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
    proto.graph.node[0].CopyFrom(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


M4 = {
    "up": (external("../x"), "is stored in another file"),
    "absolute": (external("/etc/hostname"), "is stored in another file"),
    "symlink": (external("link"), "is stored in another file"),
    "custom": (custom_domain, "belongs to the domain 'com.example'"),
    "cyclic": (cyclic, "not a valid ONNX graph"),
    "dangling": (dangling, "not a valid ONNX graph"),
    "3 GB": (claims_three_gigabytes, "holds another number of values than it declares"),
    "giant": (claims_a_giant_side, "has a dimension above"),
    "functions": (functions, "holds functions"),
    "graph": (graph_inside, "contains another graph"),
}


@pytest.mark.parametrize("name", M4)
def test_m4_onnx(tmp_path, capsys, monkeypatch, name):
    change, said = M4[name]
    proto = network()
    change(proto)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    (tmp_path / "link").symlink_to("/etc/hostname")
    monkeypatch.setenv("BYOM_KEY", "k")
    output = tmp_path / "out" / "m.tltb"
    assert main(["byom", str(tmp_path / "m.onnx"), "-o", str(output), "--key", "env:BYOM_KEY"]) == 5
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not output.exists()


def test_m4_rubbish_and_a_missing_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("BYOM_KEY", "k")
    (tmp_path / "m.onnx").write_bytes(b"\x0a\xff\xffno onnx at all")
    output = str(tmp_path / "m.tltb")
    assert main(["byom", str(tmp_path / "m.onnx"), "-o", output, "--key", "env:BYOM_KEY"]) == 5
    assert main(["byom", str(tmp_path / "none.onnx"), "-o", output, "--key", "env:BYOM_KEY"]) == 74
    assert main(["byom", str(tmp_path / "m.onnx"), "-o", output, "--key", "k"]) == 4
    assert main(["byom", str(tmp_path / "m.onnx"), "-o", "m.bin", "--key", "env:BYOM_KEY"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    onnx.save(network(), tmp_path / "good.onnx")
    assert main(["byom", str(tmp_path / "good.onnx"), "-o", output, "--key", "env:BYOM_KEY"]) == 0
    assert "model.arch: byom" in capsys.readouterr().err


# M5


def test_m5_weights_that_do_not_fit_name_layer_and_shapes(tmp_path):
    other = build(ModelSpec(arch="resnet_50", input_image_size="3,32,32"), 4)
    other.save_weights(tmp_path / "m.weights.h5")
    _, report = start_from(build(SPEC, 4), tmp_path / "m.weights.h5", "k", SPEC)
    assert report.mismatched["block_1a_conv_1"] == {"here": [(3, 3, 64, 64)], "file": [(1, 1, 64, 64)]}
    assert "block_1a_conv_1 [(3, 3, 64, 64)] here, [(1, 1, 64, 64)] there" in str(report)


def test_m5_not_a_number(tmp_path):
    model = build(SPEC, 4)
    model.get_layer("conv1").set_weights([np.full((7, 7, 3, 64), np.inf)])
    save_model(model, tmp_path / "m.tltb", "k", {})
    with pytest.raises(UntrustedModelError, match="layer 'conv1' holds NaN or infinite"):
        build_byom(BYOM, tmp_path / "m.tltb", 4, "k")


def test_m5_another_number_of_classes(tmp_path):
    save_model(build(SPEC, 4), tmp_path / "m.tltb", "k", {})
    retained = BYOM.model_copy(update={"retain_head": True})
    with pytest.raises(ModelError, match=r"its head gives \[4\] numbers, there are 3 classes"):
        build_byom(retained, tmp_path / "m.tltb", 3, "k")
