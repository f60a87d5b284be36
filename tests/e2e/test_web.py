"""`try.html` in a real browser: the same answer as evaluate, no request, no message on the console."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from secateur.cli.main import main
from secateur.export.web_page import RUNTIME

from tests.browsers import complaints, outside

pytestmark = pytest.mark.slow
DROP = """
const file = new File([Uint8Array.from(atob(arguments[0]), letter => letter.charCodeAt(0))], "dropped.jpg");
const carried = new DataTransfer();
carried.items.add(file);
document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: carried, bubbles: true}));
"""
SPEC = """
results_dir: {results}
key: demo-only
data: {{train_dataset_path: {images}/train, val_dataset_path: {images}/validation, preprocess_mode: {mode}}}
model: {{arch: resnet_10, input_image_size: "{channels},48,64", use_batch_norm: True}}
train: {{num_epochs: 1, batch_size_per_gpu: 64, optim_config: {{optimizer: adam}}, lr_config: {{learning_rate: 0.001}}}}
evaluate: {{dataset_path: {images}/test}}
export: {{output_path: EXPORTDIR/c.onnx, targets: [web]}}
"""


@pytest.fixture
def runtime():
    if not RUNTIME.exists():
        pytest.skip("ONNX Runtime for the web is not installed: make web")


@pytest.mark.parametrize(
    ("mode", "channels", "more"),
    [("torch", 3, []), ("caffe", 3, ["export.data_type=int8"]), ("tf", 1, ["export.embed_preprocessing=True"])],
)
def test_the_page_answers_as_the_product(few, runtime, browser, tmp_path, monkeypatch, mode, channels, more):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "c.yaml"
    spec.write_text(SPEC.format(images=few, results=tmp_path / "out", mode=mode, channels=channels))
    for step in ("train", "evaluate", "export"):
        assert main([step, "-e", str(spec), *more]) == 0
    page = tmp_path / "out/export/try.html"
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(lambda b: b.find_element(By.ID, "state").text == "Ready.")
    expected = by_product(spec, more, sorted(map(str, few.rglob("test/*/*.jpg"))))
    for number, (path, probabilities) in enumerate(expected.items()):
        browser.execute_script("document.getElementById('state').textContent = ''")
        if number == 0:
            browser.execute_script(DROP, base64.b64encode(Path(path).read_bytes()).decode())
        else:
            browser.find_element(By.ID, "file").send_keys(path)
        WebDriverWait(browser, 30).until(lambda b: "ms" in b.find_element(By.ID, "state").text)
        rows = [row.text.split("\n")[0].rsplit(" ", 2) for row in browser.find_elements(By.CSS_SELECTOR, "#rows tr")]
        shown = {row[0]: float(row[1]) / 100 for row in rows}
        labels = json.loads((tmp_path / "out/split/classmap.json").read_text())
        found = np.array([shown[name] for name in sorted(labels, key=labels.get)])
        # Browsers decode a JPEG to within one of 255 steps of Pillow, and not at a smaller scale.
        np.testing.assert_allclose(found, probabilities, atol=0.05 if more else 0.03)
    assert browser.find_element(By.ID, "error").text == ""
    assert complaints(browser) == []
    assert outside(browser) == []
    browser.save_screenshot(str(tmp_path / "page.png"))


def by_product(spec_path, more, images):
    from secateur.export.final_model import Pixels
    from secateur.export.runners import onnx_runner
    from secateur.run import run_of
    from secateur.spec import load_spec

    run = run_of("c", load_spec(spec_path, more))
    runner = onnx_runner((run.results / "export/c.onnx").read_bytes(), run.spec)
    answers = np.concatenate([runner(batch) for batch in Pixels(run.spec, images).batches()])
    return dict(zip(images[::3], answers[::3], strict=True))


def test_a_page_without_the_runtime_says_what_to_do(few, tmp_path, monkeypatch, capsys):
    from secateur.export import web_page as module

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "RUNTIME", tmp_path / "nowhere")
    with pytest.raises(Exception, match=r"export\.targets: web needs ONNX Runtime for the web"):
        module.web_page({}, b"")
