"""What follows a training in a spec of classification_pyt: evaluation, inference, export, encryption and engine."""

from __future__ import annotations

from secateur.errors import SpecError
from secateur.spec.placeholders import split_placeholder
from secateur.spec.pytorch.pytorch_draft import Draft, carry_rows, short, texts_at
from secateur.spec.pytorch.pytorch_reasons import OF_THIS_RUN
from secateur.spec.pytorch.pytorch_tables import ENGINE_ROWS

NO_KEY = "none"
KEY_FROM = "env:SECATEUR_KEY"
OPSETS = (13, 18)
TENSORRT = "gen_trt_engine.tensorrt"


def carry_key(draft: Draft) -> None:
    """A key in the file is not copied; the variable takes its place."""
    if draft.file.text("encryption_key") is None:
        draft.values["key"] = NO_KEY
        draft.comments["key"] = "models and exports are not encrypted"
        return
    draft.values["key"] = KEY_FROM
    variable = KEY_FROM.removeprefix("env:")
    draft.differs("encryption_key", f"it is not copied: set the variable {variable} to your key")


def carry_evaluation(draft: Draft) -> None:
    """The evaluation, the models of the steps, and the images of inference."""
    topk = draft.file.numbers("model.head.topk")
    several = int(max(topk)) if topk else 1
    own = None if draft.is_six else draft.file.whole("evaluate.topk")
    draft.put("evaluate.top_k", several if own is None else own, "model.head.topk" if own is None else "evaluate.topk")
    if own is not None and draft.file.has("model.head.topk"):
        draft.differs("model.head.topk", "evaluate.topk counts")
    elif topk and len(topk) > 1:
        draft.differs("model.head.topk", f"top-1 and top-{several} are measured")
    if draft.is_six:
        size = draft.file.whole("evaluate.batch_size")
        usual = draft.values["train"].get("batch_size_per_gpu")
        draft.put("evaluate.batch_size", size if size and size > 0 else usual, "evaluate.batch_size")
    for section in ("evaluate", "inference", "export"):
        _model(draft, section)
    if draft.file.section("inference") is not None and "dataset_path" in draft.values.get("evaluate", {}):
        draft.put(
            "inference.image_dir", draft.values["evaluate"]["dataset_path"], draft.origins["evaluate.dataset_path"]
        )


def _model(draft: Draft, section: str) -> None:
    """A step's model: the files of classification_pyt cannot be read here, the words for models of the run can."""
    path = f"{section}.checkpoint"
    value = draft.file.text(path)
    if value is None:
        return
    if split_placeholder(value) is not None:
        draft.put(f"{section}.model_path", value, path)
    else:
        draft.lose(path, OF_THIS_RUN)


def carry_export(draft: Draft) -> None:
    """Carry over the exported file and its opset."""
    output = draft.file.text("export.onnx_file")
    if output is not None:
        draft.put("export.output_path", output, "export.onnx_file")
        if output.endswith(".etlt") and draft.values["key"] == NO_KEY:
            raise SpecError(
                f"{draft.file.parsed.at('export.onnx_file')}: export.onnx_file: an .etlt file is encrypted, and the "
                "file has no encryption_key",
                "add encryption_key, or end the name in .onnx",
            )
    path = "export.opset_version"
    opset = draft.file.whole(path)
    least, most = OPSETS
    taken = min(max(draft.words.opset if opset is None else opset, least), most)
    draft.put("export.target_opset", taken, path)
    if opset is not None and taken != opset:
        draft.differs(path, f"{taken} is used: secateur writes {least} to {most}")


def carry_engine(draft: Draft) -> None:
    """Carry over the TensorRT engine, if the file asks for one."""
    if draft.file.section("gen_trt_engine") is None:
        return
    carry_rows(draft, ENGINE_ROWS)
    if draft.file.text("gen_trt_engine.trt_engine") is None:
        draft.values["gen_trt_engine"] = {}
        draft.comments["gen_trt_engine"] = "asks for an engine"
    _engine_type(draft)
    size = draft.file.number(f"{TENSORRT}.workspace_size")
    if size != 0:
        draft.put("export.max_workspace_size", short((size or 1024) / 1024), f"{TENSORRT}.workspace_size")
    _largest_batch(draft)
    images = texts_at(draft, f"{TENSORRT}.calibration.cal_image_dir")
    if images:
        draft.put("export.cal_image_dir", images, f"{TENSORRT}.calibration.cal_image_dir")


def _engine_type(draft: Draft) -> None:
    path = f"{TENSORRT}.data_type"
    kind = (draft.file.text(path) or "fp32").lower()
    if kind not in ("fp32", "fp16", "int8"):
        draft.lose(path, "an engine is fp32, fp16 or int8")
    elif draft.file.has(path):
        draft.put("export.engine_data_type", kind, path)


def _largest_batch(draft: Draft) -> None:
    """The largest batch of an engine; TAO's default is 1."""
    path = f"{TENSORRT}.max_batch_size"
    export = draft.values.get("export", {})
    least = max(export.get("min_batch_size", 1), export.get("opt_batch_size", 1))
    given = draft.file.whole(path)
    draft.put("export.max_batch_size", least if given is None else given, path)
