"""The prune step: a trained model in, a narrower one and its report out."""

from __future__ import annotations

from typing import IO, Any

from secateur.artifacts import require_writable, write_json
from secateur.errors import SpecError
from secateur.modelfile import load_model, save_model
from secateur.pruning.prune import prune
from secateur.run import Run
from secateur.status import reported


def prune_step(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `prune/model.tlt` and `prune/report.json`, and `prune.output_path` when it is given.

    Returns:
        The report.

    Raises:
        SecateurError: with what is wrong and what to do.
    """
    section = run.spec.prune
    if section is None:
        raise SpecError("the spec has no prune section", "add `prune:` with its threshold")
    folder = run.results / "prune"
    require_writable(folder)
    with reported(run.status("prune")) as status:
        source = run.resolve(section.model_path, run.model("train"))
        if section.model_path == "EVALMODEL":
            source = run.model("train")  # the final model comes after pruning: at this point it is the trained one
        model, card = load_model(source, run.key)
        narrow, result = prune(model, section)
        report = {
            "threshold": section.threshold,
            "equalization_criterion": section.equalization_criterion,
            "normalizer": section.normalizer,
            **result.as_json(),
        }
        card = {**card, "pruned": True, "step": "prune"}
        write_json(folder / "report.json", report)
        save_model(narrow, folder / "model.tlt", run.key, card)
        if section.output_path:
            save_model(narrow, run.resolve(section.output_path, folder / "model.tlt"), run.key, card)
        kpi = {
            "pruning_ratio": report["params_kept_ratio"],
            "param_count": result.after.params,
            "size": (folder / "model.tlt").stat().st_size / (1 << 20),
        }
        status.write("RUNNING", "pruning_ratio is the share of parameters that is kept", kpi=kpi)
    print(
        f"prune  threshold {section.threshold}: kept {report['params_kept_ratio']:.1%} of "
        f"{result.before.params:,} parameters and {report['macs_kept_ratio']:.1%} of the MACs",
        file=stream,
        flush=True,
    )
    if result.before == result.after:
        weakest = min((group.smallest for group in result.groups if not group.fixed), default=0.0)
        print(
            f"hint: nothing was removed: the weakest channel has {weakest:.2f}; raise prune.threshold, or train with a "
            "larger train.reg_config.weight_decay",
            file=stream,
            flush=True,
        )
    return report
