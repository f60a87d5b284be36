"""What an exported file says of its origin."""

import pytest
import yaml
from secateur.models.provenance import without_places
from secateur.run import Run
from secateur.spec import parse_spec
from secateur.steps.model_card import link

SPEC = """
key: env:K
results_dir: /home/lovelace/results
data: {train_dataset_path: /home/lovelace/images, val_dataset_path: photos, preprocess_mode: tf}
model: {arch: resnet_10, input_image_size: [3, 32, 32]}
train:
  pretrained_model_path: weights.keras
  optim_config: {optimizer: adam}
  mlflow: {tracking_uri: "http://tracker.internal:5000", experiment: secret}
prune: {threshold: 0.68, output_path: /mnt/share/cut.tlt, excluded_layers: [block_1a_conv_1, ../odd]}
inference: {image_dir: s3://bucket/photos}
export: {output_path: EXPORTDIR/m.etlt, cal_image_dir: [/home/lovelace/cal]}
"""


@pytest.mark.parametrize("step", ["train", "prune", "retrain", "export"])
def test_a_digest_of_the_origin_has_no_place_and_keeps_the_rest(tmp_path, step):
    run = Run("one", parse_spec(SPEC), tmp_path / "results", tmp_path / "work")
    whole = link(run, step, parent_sha256="a" * 64)
    shown = without_places([whole])[0]
    text = yaml.safe_dump(shown)
    for word in ("lovelace", "photos", "weights.keras", "tracker", "secret", "share", "bucket", "odd", "/"):
        assert word not in text
    for name in ("step", "parent_sha256", "spec_sha256", "versions"):
        assert shown[name] == whole[name]
    kept = {"train": ("train", "optim_config"), "prune": ("prune", "threshold"), "retrain": ("retrain", "num_epochs"),
            "export": ("export", "layout")}[step]  # fmt: skip
    assert shown[kept[0]][kept[1]] == whole[kept[0]][kept[1]]


def test_the_first_link_keeps_the_digest_of_the_images(tmp_path):
    shown = without_places(
        {"step": "split", "manifest_sha256": "b" * 64, "images": 9, "data": {"source": "photos", "group": "none"}}
    )
    assert shown == {"step": "split", "manifest_sha256": "b" * 64, "images": 9, "data": {"group": "none"}}
