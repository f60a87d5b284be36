"""`report.html` and `index.html` in a real browser, of a real run whose classes have hostile names."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from secateur.cli.main import main
from secateur.steps.index import index_step

from tests.browsers import complaints, outside

pytestmark = pytest.mark.slow
AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
HOSTILE = "<img src=x onerror=alert(1)> & 'co' </script>"
SPEC = """
results_dir: {results}
key: demo-only
data: {{train_dataset_path: {images}/train, val_dataset_path: {images}/validation, preprocess_mode: torch}}
model: {{arch: resnet_10, input_image_size: "3,48,48", use_batch_norm: True}}
train: {{num_epochs: 2, batch_size_per_gpu: 32, optim_config: {{optimizer: adam}}, lr_config: {{learning_rate: 0.001}}}}
prune: {{target_macs: 0.5}}
retrain: {{num_epochs: 1}}
evaluate: {{dataset_path: {images}/test}}
export: {{output_path: EXPORTDIR/c.onnx}}
"""


@pytest.fixture(scope="module")
def results(few, tmp_path_factory):
    """Two experiments: the same results under two names, which is enough for the page over both."""
    root = tmp_path_factory.mktemp("report")
    images = root / "images"
    shutil.copytree(few, images)
    for split in ("train", "validation", "test"):
        (images / split / "hat").rename(images / split / HOSTILE.replace("/", "\u2215"))
    spec = root / "one.yaml"
    spec.write_text(SPEC.format(images=images, results=root / "results/one"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        trained = f"evaluate.model_path={root}/results/one/train/model.tlt"
        for words in (["train"], ["prune"], ["retrain"], ["evaluate"], ["export"], ["report"]):
            assert main([words[0], "-e", str(spec)]) == 0
            if words == ["evaluate"]:
                assert main(["evaluate", "-e", str(spec), trained]) == 0
        source = {
            "spec": str(spec),
            "overrides": [],
            "shared": {},
            "results": str(root / "results/one"),
            "work": "work",
        }
        other = {**source, "overrides": ["train.num_epochs=3"]}
        shutil.copytree(root / "results/one", root / "results/two")
        with open(root / "log", "w") as stream:
            index_step({"runs": {"one": source, "two": other}, "sweeps": []}, root / "results", stream)
    return root / "results"


def faults(browser):
    """What axe-core calls serious or critical."""
    browser.execute_script(AXE.read_text())
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    return [
        (fault["id"], [node["html"][:120] for node in fault["nodes"]][:3])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def shown_as(browser, scheme, width=1000):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.parametrize("page", ["one/report.html", "index.html"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1000), ("dark", 390)])
def test_accessible_and_by_itself(results, browser, page, scheme, width):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make web NPM_OMIT=")
    shown_as(browser, scheme, width)
    browser.get((results / page).as_uri())
    assert faults(browser) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert complaints(browser) == []
    assert outside(browser) == []
    assert browser.execute_script("return document.querySelectorAll('[onerror]').length") == 0
    assert (results / page).stat().st_size < 5_000_000


def test_the_report_sorts_filters_and_counts(results, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    browser.get((results / "one/report.html").as_uri())
    table = browser.find_element(By.CSS_SELECTOR, "#classes table.sortable")
    table.find_elements(By.CSS_SELECTOR, "th button")[2].click()
    recalls = [
        float(row.find_elements(By.TAG_NAME, "td")[1].text) for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]
    assert recalls == sorted(recalls)
    assert table.find_element(By.CSS_SELECTOR, "th[aria-sort]").get_attribute("aria-sort") == "ascending"

    metrics = json.loads((results / "one/evaluate/retrain/metrics.json").read_text())
    diagonal = lambda: [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#matrix td.right")]  # noqa: E731
    per_class = metrics["per_class"].values()
    counts = [round(row["recall"] * row["support"]) for row in per_class]
    assert diagonal() == [str(count) if count else "" for count in counts]
    Select(browser.find_element(By.ID, "matrix-shares")).select_by_value("shares")
    Select(browser.find_element(By.ID, "matrix-order")).select_by_value("recall")
    expected = sorted(row["recall"] for row in per_class)
    assert [float(text or 0) for text in diagonal()] == pytest.approx(expected, abs=0.006)
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "#matrix thead th")]
    rows = [
        row.find_element(By.TAG_NAME, "th").text for row in browser.find_elements(By.CSS_SELECTOR, "#matrix tbody tr")
    ]
    assert heads == rows

    table = pd.read_csv(results / "one/evaluate/retrain/predictions.csv")
    slider = browser.find_element(By.ID, "threshold")
    browser.execute_script("arguments[0].value = 60; arguments[0].dispatchEvent(new Event('input'))", slider)
    sure = table[table["confidence"] >= 0.6]
    right = sure["correct"].mean() if len(sure) else 1
    says = browser.find_element(By.ID, "threshold-says").text
    assert f"{100 * len(sure) / len(table):.1f} %" in says
    assert f"{100 * right:.1f} %" in says

    wrong = table[~table["correct"]]
    name = wrong["class"].iloc[0]
    Select(browser.find_element(By.ID, "class-filter")).select_by_visible_text(" ".join(name.split()))
    figures = browser.find_elements(By.CSS_SELECTOR, ".gallery figure")
    visible = [figure for figure in figures if figure.is_displayed()]
    assert visible
    assert all(
        name in (figure.get_attribute("data-true"), figure.get_attribute("data-predicted")) for figure in visible
    )


def test_the_index_shows_what_differs_between_two_specs(results, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    browser.get((results / "index.html").as_uri())
    rows = lambda: [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#differences tbody tr")]  # noqa: E731
    assert rows() == ["train.num_epochs 2 3"]
    Select(browser.find_element(By.ID, "right")).select_by_visible_text("one")
    assert rows() == []
    assert browser.find_element(By.ID, "no-differences").is_displayed()
    browser.find_element(By.LINK_TEXT, "one").click()
    assert browser.find_element(By.TAG_NAME, "h1").text == "one"


def test_the_page_prints(results, browser):
    browser.get((results / "one/report.html").as_uri())
    assert len(browser.print_page()) > 10_000


def test_explain_says_what_evaluate_said(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("K", "demo-only")
    row = pd.read_csv(results / "one/evaluate/retrain/predictions.csv").iloc[0]
    words = ["explain", str(results / "one/retrain/model.tlt"), row["path"], "--key", "env:K"]
    assert main([*words, "-o", str(tmp_path / "why.png")]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(row["predicted"])
    assert float(first.rsplit(" ", 1)[1]) == pytest.approx(row["confidence"], abs=1e-3)
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--of", "no such class", "-o", str(tmp_path / "no.png")]) == 2
    assert not (tmp_path / "no.png").exists()
