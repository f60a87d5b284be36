"""Rows M1 to M5 of docs/reliability.md, model files of strangers: refused with exit 5 or 6.

Nothing is written, and nothing is imported.
"""

import io
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
from PIL import Image
from secateur.byom.backbone import build_byom
from secateur.byom.from_onnx import keras_from_onnx
from secateur.cli.inspect import described
from secateur.cli.main import main
from secateur.errors import ModelError, UntrustedModelError, VaultError
from secateur.models.file import load_model, load_weights, save_model
from secateur.models.h5 import read_named_weights
from secateur.spec import ModelSpec
from secateur.training.pretrained import start_from
from secateur.vault import files as vault_files
from secateur.zoo import build

from tests.memory import Growth

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


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("filters", 10**12, "'filters' has a number above"),
        ("filters", 10**9, "declares 1000000000 filters"),
        ("batch_shape", [None, 10**9, 32, 3], "has a dimension of 1000000000"),
    ],
)
def test_m2_sizes_that_the_weights_do_not_have(tmp_path, archive, key, value, said):
    config = json.loads(archive["config.json"])
    layer = next(part for part in config["config"]["layers"] if key in part["config"])
    layer["config"][key] = value
    path = written(tmp_path / "m.keras", [*{**archive, "config.json": json.dumps(config)}.items()])
    assert_refused(tmp_path, path, said)


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
    with pytest.raises(UntrustedModelError, match="of computing; the file is corrupt or hostile"):
        start_from(build(SPEC, 4), tmp_path / "m.weights.h5", "k", SPEC)
    with zipfile.ZipFile(repository / "bench/fuzz/seeds/keras-small") as seed:
        members = [(name, seed.read(name)) for name in seed.namelist() if name != "model.weights.h5"]
    written(tmp_path / "m.keras", [*members, ("model.weights.h5", hostile)])
    with pytest.raises(UntrustedModelError, match="of computing; the file is corrupt or hostile"):
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


def bomb(path, nodes, weights=()):
    """A small graph of the one input that byom takes, with constants that ONNX Runtime computes when it loads it."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])
    last = [
        helper.make_node("ReduceMax", ["c"], ["r"], keepdims=0),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    graph = helper.make_graph([*nodes, *last], "g", [image], [output], list(weights))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def filled(sides):
    return helper.make_node("ConstantOfShape", ["shape"], ["c"]), numpy_helper.from_array(np.int64(sides), "shape")


@pytest.mark.parametrize("kind", ["constant", "tile", "expand", "sparse", "range"])
def test_m6_constants_that_fill_the_memory(tmp_path, kind, capsys, monkeypatch):
    """A few hundred bytes, for which ONNX Runtime takes gigabytes; in a separate process, with a limit."""
    monkeypatch.setenv("K", "k")
    path = tmp_path / "bomb.onnx"
    one = numpy_helper.from_array(np.ones((1, 1), np.float32), "one")
    many = numpy_helper.from_array(np.int64([30_000, 25_000]), "many")
    if kind == "constant":
        node, shape = filled([100_000, 100_000])
        bomb(path, [node], [shape])
    elif kind == "range":
        ends = [numpy_helper.from_array(np.float32(value), name) for value, name in ((0, "a"), (1e9, "b"), (1, "d"))]
        bomb(path, [helper.make_node("Range", ["a", "b", "d"], ["c"])], ends)
    elif kind == "sparse":
        value = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
        place = helper.make_tensor("i", TensorProto.INT64, [1], [5])
        bomb(
            path,
            [
                helper.make_node(
                    "Constant", [], ["c"], sparse_value=helper.make_sparse_tensor(value, place, [30_000, 25_000])
                )
            ],
        )
    else:
        bomb(path, [helper.make_node(kind.title(), ["one", "many"], ["c"])], [one, many])
    assert main(["byom", str(path), "-o", str(tmp_path / "m.tltb"), "--key", "env:K"]) == 5
    assert "MiB of memory" in capsys.readouterr().err
    assert not (tmp_path / "m.tltb").exists()


def test_m6_nothing_of_a_network_is_in_a_temporary_folder(tmp_path, monkeypatch):
    """Not for a moment: what is killed there would leave it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr("tempfile.tempdir", None)
    path = tmp_path / "m.onnx"
    weights = numpy_helper.from_array(np.full((4, 3, 3, 3), 0.5, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    assert keras_from_onnx(path).difference < 1e-5


def test_m7_a_model_that_a_key_would_encrypt_is_not_read_plain(tmp_path):
    """Whoever can write into a results folder cannot put another model there."""
    network = build(SPEC, 4)
    save_model(network, tmp_path / "model.tlt", None, {})
    with pytest.raises(VaultError, match="is not encrypted, but the spec has a key"):
        load_model(tmp_path / "model.tlt", "k")
    assert load_model(tmp_path / "model.tlt", None)
    (tmp_path / "model.tlt").rename(tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras", "k"), "a file of another program has another suffix"
    save_model(network, tmp_path / "model.tlt", "k", {})
    assert load_model(tmp_path / "model.tlt", "k")


@pytest.mark.parametrize("kind", ["dataset", "group"])
def test_m3_many_names_for_one_place(kind):
    """Half a megabyte that would be read as gigabytes, or for ever."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("layers/dense/vars")
        group.attrs["name"] = "dense"
        group.create_dataset("0", data=np.ones(1000, np.float32))
        if kind == "dataset":
            group["1"] = group["0"]
        else:
            group["again"] = file["layers"]
    with pytest.raises(UntrustedModelError, match="a second name for data that has one"):
        read_named_weights(stream.getvalue(), "links.weights.h5")


# M8


def of_image(path, nodes, weights):
    """A graph from the image to `y`."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    sides = list("ab" if nodes[0].op_type == "Relu" else "abcd")
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, sides)
    graph = helper.make_graph(nodes, "g", [image], [output], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def numbers(name, values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


M8 = {
    "output without the image": (
        [helper.make_node("Relu", ["w"], ["y"])],
        [numbers("w", [[1.0]], np.float32)],
        "the output does not depend on the image",
    ),
    "output is the image": ([helper.make_node("Identity", ["x"], ["y"])], [], ""),
    "padding to 20,000 x 20,000": (
        [helper.make_node("Pad", ["x", "p"], ["y"])],
        [numbers("p", [0, 0, 10_000, 10_000, 0, 0, 10_000, 10_000])],
        "reading it takes more than",
    ),
    "enlarged to 24,000 x 24,000": (
        [helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest")],
        [numbers("s", [1, 1, 3000, 3000], np.float32)],
        "reading it takes more than",
    ),
    "strides of 5,000": (
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[5000, 5000])],
        [numbers("w", np.ones((3, 1, 1, 1)), np.float32)],
        "reading it takes more than",
    ),
    "nothing is left": ([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[9, 9])], [], "MaxPool 'y': "),
    "no size": ([helper.make_node("Reshape", ["x", "s"], ["y"])], [numbers("s", [1, 0, -1, 0])], ""),
}


@pytest.mark.parametrize("name", M8)
def test_m8_valid_graphs_that_no_network_should_have(tmp_path, name, capsys, monkeypatch):
    """Each is computed in the process with limits first, so that this one does not grow."""
    nodes, weights, said = M8[name]
    of_image(tmp_path / "m.onnx", nodes, weights)
    monkeypatch.setenv("K", "k")
    with Growth() as memory:
        code = main(["byom", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.tltb"), "--key", "env:K"])
    error = capsys.readouterr().err
    assert code in ((5, 6) if said else (0,))
    assert said in error
    assert not said or ("m.onnx" in error and "hint: " in error)
    assert (tmp_path / "m.tltb").exists() == (code == 0)
    assert memory.kb < 1_000_000


# M9


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Members of a sound file of a few layers."""
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    path = tmp_path_factory.mktemp("small") / "good.keras"
    keras.Model(image, keras.layers.Dense(3, activation="softmax", name="head")(x)).save(path)
    with zipfile.ZipFile(path) as good:
        return {name: good.read(name) for name in good.namelist()}


def changed(path, members, change=None, card=None):
    """The archive with another config: `change` changes it in place, or returns another; and with a card."""
    config = json.loads(members["config.json"])
    other = change(config) if change else None
    members = {**members, "config.json": json.dumps(config if other is None else other)}
    return written(path, [*members.items(), *([] if card is None else [("secateur.json", json.dumps(card))])])


def layer_of(config, name):
    return next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == name)


def option(layer, **options):
    return lambda config: layer_of(config, layer)["config"].update(options)


def ends(**options):
    return lambda config: config["config"].update(options)


def identity(name, nodes):
    return {**object_of("Identity", name=name), "name": name, "inbound_nodes": nodes}


def object_of(kind, module="keras.layers", **config):
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def chain(length):
    """Layers that do nothing, one behind the other."""

    def change(config):
        names = ["norm", *(f"i{number}" for number in range(length))]
        config["config"]["layers"] += [
            identity(name, [[[names[place], 0, 0, {}]]]) for place, name in enumerate(names[1:])
        ]
        layer_of(config, "pool")["inbound_nodes"] = [[[names[-1], 0, 0, {}]]]

    return change


def one_layer(calls):
    """One layer that is called so often."""

    def change(config):
        places = [["norm", 0, 0, {}], *(["i", number, 0, {}] for number in range(calls - 1))]
        config["config"]["layers"].append(identity("i", [[place] for place in places]))
        layer_of(config, "pool")["inbound_nodes"] = [[["i", calls - 1, 0, {}]]]

    return change


def models_in_models(depth):
    """Each model calls the one inside it twice: 2^depth calls from a short text."""

    def change(config):
        inner = identity("id", [])
        for level in range(depth):
            source, name = f"in{level}", inner["config"]["name"]
            image = object_of("InputLayer", batch_shape=[None, 8, 8, 4], dtype="float32", name=source)
            inner["inbound_nodes"] = [[[source, 0, 0, {}]], [[name, 0, 0, {}]]]
            layers = [{**image, "name": source, "inbound_nodes": []}, inner]
            ports = {"input_layers": [[source, 0, 0]], "output_layers": [[name, 1, 0]]}
            inner = object_of("Functional", "keras.models", name=f"m{level}", layers=layers, **ports)
            inner["name"] = f"m{level}"
        inner["inbound_nodes"] = [[["norm", 0, 0, {}]]]
        config["config"]["layers"].append(inner)

    return change


M9 = {
    "a layer": (lambda _: object_of("ReLU"), "holds no network, but 'ReLU'"),
    "an initializer": (lambda _: object_of("Zeros", "keras.initializers"), "holds no network, but 'Zeros'"),
    "no object": (lambda _: {"a": "b"}, "holds no network, but 'None'"),
    "no layers": (ends(layers=[]), "could not find layer image"),
    "layers of another kind": (ends(layers=5), "not a Keras archive"),
    "an output that no layer has": (ends(output_layers=[["conv", 0, 5]]), "index out of range"),
    "outputs as text": (ends(output_layers="zz"), "cannot build this model"),
    "two outputs": (ends(output_layers=[["head", 0, 0], ["pool", 0, 0]]), "not one result from one image"),
    "1,000 in a chain": (chain(1000), "too many layers follow one another"),
    "8,000 in a chain": (chain(8000), "calls its layers more than 3000 times"),
    "one layer 8,000 times": (one_layer(8000), "calls its layers more than 3000 times"),
    "models in models": (models_in_models(25), "calls its layers more than 3000 times"),
    "a model as an activation": (
        lambda config: option("head", activation=json.loads(json.dumps(config)))(config),
        "holds a model as an option of a layer",
    ),
    "texts": (option("conv", dtype="string"), "'conv' computes with string"),
    "an image of texts": (option("image", dtype="string"), "'image' computes with string"),
    "a policy of texts": (
        option("conv", dtype=object_of("DTypePolicy", "keras", name="string")),
        "'conv' computes with string",
    ),
    "a policy per layer": (
        option("conv", dtype=object_of("DTypePolicyMap", "keras.dtype_policies")),
        "'conv' computes with DTypePolicyMap",
    ),
    "strides": (option("conv", strides=[10**30, 1]), "'strides' has a number above 65536"),
    "dilation": (option("conv", dilation_rate=[5000, 5000]), "layer 'conv' makes 675,720,192 numbers"),
    "infinite": (option("norm", epsilon=float("inf")), "'epsilon' is inf"),
    "not a number": (option("norm", momentum=float("nan")), "'momentum' is nan"),
    "no groups": (option("conv", groups=0), "cannot build this model"),
    "an axis that is not there": (option("norm", axis=99), "index out of range"),
}


@pytest.mark.parametrize("name", M9)
def test_m9_configs_that_keras_cannot_read(tmp_path, small, name):
    change, said = M9[name]
    path = changed(tmp_path / "m.keras", small, change)
    with Growth() as memory, pytest.raises((UntrustedModelError, ModelError), match=said) as refused:
        load_model(path, None)
    assert "m.keras" in refused.value.message
    assert refused.value.hint
    assert memory.kb < 500_000


@pytest.mark.parametrize("outputs", [[["head", 0, 0]], {"a": ["head", 0, 0]}])
def test_m9_one_output_in_a_list_is_one_output(tmp_path, small, outputs):
    model, _ = load_model(changed(tmp_path / "m.keras", small, ends(output_layers=outputs)), None)
    assert model(np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 3)


def test_m9_a_refused_model_leaves_no_variables(tmp_path, small):
    with pytest.raises(ModelError):
        load_model(changed(tmp_path / "m.keras", small, ends(output_layers=[["conv", 0, 5]])), None)
    assert load_model(changed(tmp_path / "m.keras", small), None)[0].output_shape == (None, 3)


@pytest.mark.parametrize(
    ("raised", "wanted"),
    [
        (MemoryError(), UntrustedModelError),
        (AttributeError("x"), ModelError),
        (VaultError("x"), VaultError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_m9_errors_after_the_network_was_built(tmp_path, small, monkeypatch, raised, wanted):
    def fails(*_):
        raise raised

    path = changed(tmp_path / "m.keras", small)
    monkeypatch.setattr(keras.layers.Layer, "set_weights", fails)
    with pytest.raises(wanted):
        load_model(path, None)


def test_m9_initializers_are_not_computed(tmp_path):
    """An orthogonal matrix takes seconds, and the weights of the file follow anyway."""
    image = keras.Input((1, 1, 50))
    model = keras.Model(image, keras.layers.Dense(20, name="wide")(keras.layers.Flatten()(image)))
    model.save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good:
        members = {name: good.read(name) for name in good.namelist()}
    orthogonal = object_of("Orthogonal", "keras.initializers", gain="x")
    path = changed(tmp_path / "m.keras", members, option("wide", kernel_initializer=orthogonal))
    again, _ = load_model(path, None)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    assert isinstance(again.get_layer("wide").kernel_initializer, keras.initializers.Zeros)


# M10

M10 = {
    "no object": ([], "valid dictionary"),
    "a chain of numbers": ({"provenance": [5]}, "provenance.0"),
    "a number for the chain": ({"provenance": 5}, "provenance"),
    "null for the chain": ({"provenance": None}, "provenance"),
    "a step of lists": ({"provenance": [{"step": []}]}, "provenance.0.step"),
    "a digest of lists": ({"provenance": [{"manifest_sha256": ["x"]}]}, "provenance.0.manifest_sha256"),
    "versions": ({"provenance": [{"versions": [1]}]}, "provenance.0.versions"),
    "sections": ({"provenance": [{"step": "train", "model": [1]}]}, "provenance.0.model"),
    "classes without names": ({"classes": [{}, {}]}, "classes.0"),
    "classes by name": ({"classes": {"a": 1}}, "classes"),
    "two classes of one name": ({"classes": ["a", "a"]}, "a name is there twice"),
    "an empty name": ({"classes": ["a", ""]}, "classes.1"),
    "pruned": ({"pruned": []}, "pruned"),
    "preprocessing": ({"preprocessing": {"width": "wide"}}, "preprocessing.width"),
    "origin": ({"byom": 5}, "byom"),
    "filters": ({"kept": {"conv": ["x"]}}, "kept.conv.0"),
}


@pytest.mark.parametrize("name", M10)
def test_m10_cards(tmp_path, small, name, capsys):
    card, said = M10[name]
    path = changed(tmp_path / "m.keras", small, card=card)
    with pytest.raises(UntrustedModelError, match=f"m.keras: its card is not valid: .*{said}"):
        load_model(path, None)
    with pytest.raises(UntrustedModelError, match="its card is not valid"):
        load_weights(path, None)
    with pytest.raises(UntrustedModelError, match="its card is not valid"):
        described(path.read_bytes(), str(path))


def test_m10_inspect_against_a_manifest(tmp_path, small, capsys):
    """The ids of a forged chain are compared with the digest of the manifest."""
    path = changed(tmp_path / "m.keras", small, card={"provenance": [{"manifest_sha256": ["x"]}]})
    (tmp_path / "m.csv").write_text("path,class\n")
    assert main(["inspect", str(path), str(tmp_path / "m.csv")]) == 5
    assert "m.keras: its card is not valid" in capsys.readouterr().err


@pytest.mark.parametrize("member", ["secateur.json", "metadata.json"])
def test_m10_json_that_fills_the_memory(tmp_path, small, member):
    noise = np.random.default_rng(0)
    parts = [b'%s"%s",' % (b"[]," * 200, noise.bytes(20).hex().encode()) for _ in range(15_000)]
    path = written(tmp_path / "m.keras", [*{**small, member: b"[" + b"".join(parts) + b"0]"}.items()])
    with Growth() as memory, pytest.raises(UntrustedModelError, match=f"'{member}' is larger than 8388608 bytes"):
        load_model(path, None)
    assert memory.kb < 100_000


def test_m10_further_keys_of_a_card_are_kept(tmp_path, small):
    card = {"classes": ["a", "b", "c"], "later": [1], "provenance": [{"step": "split", "later": {"a": 1}}]}
    assert load_model(changed(tmp_path / "m.keras", small, card=card), None)[1].items() >= card.items()


# M11

LINKS = [{"step": "split", "data": {}}, {"step": "train", "augment": {}, "model": {"input_image_size": [3, 16, 16]}}]


def explained(tmp_path, small, monkeypatch, **changes):
    """The exit code of `explain`, of a model for images of 16 x 16 with this card."""
    card = {"classes": ["a", "b", "c"], "provenance": LINKS, **changes}
    path = changed(tmp_path / "m.keras", small, option("image", batch_shape=[None, 16, 16, 3]), card)
    Image.new("RGB", (20, 20)).save(tmp_path / "image.png")
    monkeypatch.setenv("K", "k")
    return main(["explain", str(path), str(tmp_path / "image.png"), "-o", str(tmp_path / "o.png"), "--key", "env:K"])


def test_m11_explain_with_a_sound_card(tmp_path, small, monkeypatch, capsys):
    assert explained(tmp_path, small, monkeypatch) == 0, capsys.readouterr().err
    assert explained(tmp_path, small, monkeypatch, classes=["a\x1b[2J", "b\nwrote", "c"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\nwrote " in said
    assert "b\\nwrote" in said


SIZE = [LINKS[0], {**LINKS[1], "model": {"input_image_size": [3, 32, 32]}}]
M11 = {
    "too few classes": ({"classes": ["a"]}, 6, "has 3 outputs, the class map 1 classes"),
    "too many classes": ({"classes": list("abcd")}, 6, "has 3 outputs, the class map 4 classes"),
    "no classes": ({"classes": []}, 6, "does not name its classes"),
    "another size": ({"provenance": SIZE}, 6, "takes images of 3 channels, height 16, width 16"),
    "no preprocessing": ({"provenance": []}, 6, "does not describe its preprocessing"),
    "an impossible range": ({"quantization": {"ranges": {"a": [0, 10**400]}, "symmetric": True}}, 6, "not valid"),
    "a chain of numbers": ({"provenance": [5]}, 5, "its card is not valid"),
}


@pytest.mark.parametrize("name", M11)
def test_m11_explain_with_a_hostile_card(tmp_path, small, monkeypatch, name, capsys):
    change, code, said = M11[name]
    assert explained(tmp_path, small, monkeypatch, **change) == code
    error = capsys.readouterr().err
    assert said in error
    assert "m.keras" in error
    assert "hint: " in error
    assert not (tmp_path / "o.png").exists()
