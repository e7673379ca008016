"""package: hold the evaluated model against its bounds; on a pass, put the candidate together."""

import difflib
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fmcycle import artifact, code_digest, durable, model_store
from fmcycle.build import build
from fmcycle.engine import fit
from fmcycle.error import InputError
from fmcycle.number import Node
from fmcycle.serving.probe import probe

NEEDS = (("model",), ("metrics",))
WRITES = ("gate.json", "package.json", "model")


@dataclass
class Config:
    inputs: dict
    out: str
    gate: dict[str, Node]
    engine: Node
    guardrail: dict[Literal["input", "output"], list[Node]]


@dataclass
class Bound:
    """A bound on a metric: on its value, or on the low or high end of its 95 % interval."""

    min: float | None = None
    max: float | None = None
    of: Literal["value", "low", "high"] = "value"

    def __call__(self, metric: str, metrics: dict[str, float]) -> dict:
        """One check: {metric, of, min, max, value, passed, misses_by, why}; a metric that was not measured fails."""
        name = metric if self.of == "value" else f"{metric}/{self.of}"
        value = metrics.get(name)
        check = {"metric": metric, "of": self.of, "min": self.min, "max": self.max, "value": value}
        if not isinstance(value, int | float) or not math.isfinite(value):
            near = difflib.get_close_matches(name, metrics, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return check | {"value": None, "misses_by": None, "passed": False, "why": f"{name} was not measured{hint}"}
        low = self.min - value if self.min is not None else 0.0
        high = value - self.max if self.max is not None else 0.0
        misses = max(low, high, 0.0)
        side, bound = ("min", self.min) if low > 0 else ("max", self.max)
        why = f"{name} is {value:.6g}, {side} {bound:.6g}: misses by {misses:.6g}" if misses else ""
        return check | {"misses_by": misses, "passed": not misses, "why": why}


def judge(bounds: dict[str, Bound], metrics: dict[str, float]) -> dict:
    """The verdict: {"passed": all of them, "checks": one a bound, in the order of the config}."""
    checks = [bound(metric, metrics) for metric, bound in bounds.items()]
    return {"passed": all(check["passed"] for check in checks), "checks": checks}


def run(cfg: Config) -> None:
    """Judge `inputs.metrics`; write gate.json, package.json and, on a pass, model/: all that a deployment needs.

    The last check is that the engine and the guards answer. Raises InputError if the metrics are of another model than `inputs.model`, or
    the engine does not serve such a model.
    """
    model, metrics = Path(cfg.inputs["model"]), Path(cfg.inputs["metrics"])
    fit.check(model, cfg.engine["_target_"])
    described = model_store.describe(model)
    _same_as_evaluated(model, described["model"], metrics)
    served = {"engine": cfg.engine, "guardrail": cfg.guardrail}
    verdict = judge(build(cfg.gate), artifact.read_json(metrics))
    if verdict["passed"]:
        verdict = _serves(model, served, verdict)
    package = artifact.tagged(described | served | {"config": artifact.digest_of(served), "code": code_digest.own(served)})
    with artifact.create(cfg.out) as partial:
        durable.write_json(partial / "gate.json", verdict)
        durable.write_json(partial / "package.json", package)
        if verdict["passed"]:
            shutil.copytree(model, partial / "model", copy_function=shutil.copyfile)


def _serves(model: Path, served: dict, verdict: dict) -> dict:
    """`verdict` with one more check: the engine and the guards are asked once, as a deployment asks them."""
    why = ""
    try:
        probe(model, served)
    except InputError as error:
        why = str(error)
    check = {"metric": "serves", "of": "value", "min": 1, "max": None, "value": int(not why), "misses_by": int(bool(why))}
    return {"passed": not why, "checks": [*verdict["checks"], check | {"passed": not why, "why": why}]}


def _same_as_evaluated(model: Path, digest: str, metrics: Path) -> None:
    record, trained = metrics.with_name("evaluated.json"), metrics.parent.with_name(f"{metrics.parent.name}.provenance.json")
    outs = artifact.read_json(trained, outs=dict)["outs"] if trained.is_file() else {}
    made = {os.path.relpath(path, os.path.commonpath(outs)): found for path, found in outs.items()} if outs else {}
    if "model" in made:  # metrics of the run that trained the model, which measures it at its end
        record, evaluated = trained, made["model"] if made.get("metrics.json") == artifact.sha256(metrics) else "other metrics"
    elif record.is_file():
        evaluated = artifact.read_json(record, model=str)["model"]
    else:
        raise InputError(f"{record}: not there, so nothing says which model the metrics are of; run `dvc repro evaluate`")
    if evaluated != digest:
        raise InputError(f"{model}: digest {digest[:12]}..., but {record} says {evaluated[:12]}... was measured; run `dvc repro evaluate`")
