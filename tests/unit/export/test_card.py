"""The model card: how an encrypted model is run, and what other programs take."""

import pytest
from secateur.export.bundle.card import model_card
from secateur.spec import parse_spec

PARITY = {
    "file": "m.onnx",
    "form": "onnxruntime",
    "data_type": "fp32",
    "images": 9,
    "split": "test",
    "keras": {"top_1": 0.9},
    "accuracy": {"top_1": 0.9, "per_class": {"a": {"f1": 0.8}, "b": {"f1": 1.0}}},
    "top_1_agreement": 1.0,
    "max_difference": 1e-6,
}
LATENCY = {"onnxruntime": "1.26.0", "cpus": 2, "cases": []}


def card(name, **more):
    spec = parse_spec(f"model: {{arch: resnet_10}}\nexport: {{output_path: EXPORTDIR/{name}}}\nkey: env:K\n")
    return model_card("x", spec, ["a", "b"], {"test": 9}, [{**PARITY, "file": name, **more}], LATENCY, {name: 5})


def test_an_encrypted_model_is_run_first_and_decrypted_only_for_others():
    text = card("m.etlt")
    install, predict = (
        text.index("pip install onnxruntime numpy pillow pyrage\n"),
        text.index("python predict.py --key env:"),
    )
    assert install < predict < text.index("secateur decrypt m.etlt -o m.onnx --key env:NAME")
    assert "`--key file:PATH`" in text


def test_a_plain_model_needs_neither_a_key_nor_pyrage():
    text = card("m.onnx")
    assert "pip install onnxruntime numpy pillow\npython predict.py photo.jpg\n" in text
    for word in ("pyrage", "--key", "decrypt"):
        assert word not in text


@pytest.mark.parametrize(("features", "said"), [(["Conv"], True), ([], False)])
def test_the_card_says_which_programs_take_the_file(features, said):
    assert ("`m.onnx` suits OpenCV 4.6" in card("m.onnx", features=features)) == said
