"""package: hold the evaluated model against its bounds; on a pass, put the candidate together."""

import difflib
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fmcycle import artifact, durable
from fmcycle.build import build
from fmcycle.error import GateError, InputError

# what turns text into ids and back: one of these changed means another processor
PROCESSOR_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")


@dataclass
class Config:
    inputs: dict
    out: str
    gate: dict
    engine: dict
    guardrail: dict


@dataclass
class Bound:
    """A bound on a metric: on its value, or on the low or high end of its 95 % interval."""

    min: float | None = None
    max: float | None = None
    of: Literal["value", "low", "high"] = "value"

    def __call__(self, metric: str, metrics: dict[str, float]) -> dict:
        """One check: {metric, of, min, max, value, misses_by, passed}; a metric that was not measured fails."""
        name = metric if self.of == "value" else f"{metric}/{self.of}"
        value = metrics.get(name)
        check = {"metric": metric, "of": self.of, "min": self.min, "max": self.max, "value": value}
        if value is None or not math.isfinite(value):
            near = difflib.get_close_matches(name, metrics, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return check | {"value": None, "misses_by": None, "passed": False, "why": f"{name} was not measured{hint}"}
        low = self.min - value if self.min is not None else 0.0
        high = value - self.max if self.max is not None else 0.0
        return check | {"misses_by": max(low, high, 0.0), "passed": max(low, high) <= 0}


def judge(bounds: dict[str, Bound], metrics: dict[str, float]) -> dict:
    """The verdict: {"passed": all of them, "checks": one a bound, in the order of the config}."""
    checks = [bound(metric, metrics) for metric, bound in bounds.items()]
    return {"passed": all(check["passed"] for check in checks), "checks": checks}


def describe(model: str | Path) -> dict[str, str]:
    """Content digests of a model folder: {"model", "processor", "template"}."""
    model = Path(model)
    files = {name: artifact.sha256(model / name) for name in PROCESSOR_FILES if (model / name).is_file()}
    if "chat_template.jinja" not in files:
        raise InputError(f"{model}/chat_template.jinja: not there; a packaged model needs its template: run `dvc repro processor` and train again")
    return {"model": artifact.digest(model), "processor": artifact.digest_of(files), "template": files["chat_template.jinja"]}


def tagged(package: dict) -> dict:
    """`package` with its `tag`: 16 hex digits over everything else in it."""
    content = {key: value for key, value in package.items() if key != "tag"}
    return content | {"tag": artifact.digest_of(content)[:16]}


def run(cfg: Config) -> None:
    """Judge `inputs.metrics`; write gate.json, package.json and, on a pass, model/: all that a deployment needs.

    Raises InputError where the metrics were taken of another model than `inputs.model`.
    """
    model, metrics = Path(cfg.inputs["model"]), Path(cfg.inputs["metrics"])
    described = describe(model)
    _same_as_evaluated(model, described["model"], metrics.with_name("evaluated.json"))
    verdict = judge(build(cfg.gate), json.loads(metrics.read_text()))
    served = {"engine": cfg.engine, "guardrail": cfg.guardrail}
    package = tagged(described | served | {"config": artifact.digest_of(served)})
    with artifact.create(cfg.out) as partial:
        durable.write_json(partial / "gate.json", verdict)
        durable.write_json(partial / "package.json", package)
        if verdict["passed"]:
            shutil.copytree(model, partial / "model", copy_function=shutil.copyfile)


def _same_as_evaluated(model: Path, digest: str, record: Path) -> None:
    if not record.is_file():
        raise InputError(f"{record}: not there, so nothing says which model the metrics are of; run `dvc repro evaluate`")
    evaluated = json.loads(record.read_text())["model"]
    if evaluated != digest:
        raise InputError(f"{model}: digest {digest[:12]}..., but {record} says the metrics are of {evaluated[:12]}...; run `dvc repro evaluate`")


def gate(package: str | Path = "artifacts/package") -> dict:
    """The verdict on `package`. Raises GateError (exit code 3) that says what failed and by how much."""
    package = Path(package)
    if not (package / "gate.json").is_file():
        raise InputError(f"{package}/gate.json: not there; run `dvc repro package`")
    artifact.verify(package)
    verdict = json.loads((package / "gate.json").read_text())
    if not verdict["passed"]:
        failed = [_failure(check) for check in verdict["checks"] if not check["passed"]]
        raise GateError(f"{package}: refused by {len(failed)} of {len(verdict['checks'])} bounds\n" + "\n".join(failed))
    return verdict


def _failure(check: dict) -> str:
    name = check["metric"] + ("" if check["of"] == "value" else f"/{check['of']}")
    if check["value"] is None:
        return f"  {check['why']}"
    too_low = check["min"] is not None and check["value"] < check["min"]
    side, bound = ("min", check["min"]) if too_low else ("max", check["max"])
    return f"  {name} is {check['value']:.6g}, {side} {bound:.6g}: misses by {check['misses_by']:.6g}"
