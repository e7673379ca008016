"""package: check the evaluated model against its gate; if it passes, assemble the deployment candidate."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fmcycle.artifact import atomic, provenance
from fmcycle.artifact import folder as artifact
from fmcycle.config import code_digest
from fmcycle.config.build import build
from fmcycle.engine import fit
from fmcycle.errors import InputError
from fmcycle.gate.bound import judge
from fmcycle.model import store as model_store
from fmcycle.ranges import Node
from fmcycle.serving.pipeline import guards_digest, guards_of
from fmcycle.serving.probe import probe

NEEDS = (("model",),)
WRITES = ("gate.json", "package.json", "model")


@dataclass
class Config:
    inputs: dict
    out: str
    gate: dict[str, Node]
    engine: Node
    guardrail: dict[Literal["input", "output"], list[Node]]


def run(cfg: Config) -> None:
    """Check `inputs.metrics` against the gate; write gate.json, package.json and, if it passes, model/: all that a deployment needs.

    Without metrics, which a gate without bounds does not need, the one check sends a request through engine and guardrails; otherwise it is
    the last. Raises InputError if the metrics belong to another model than
    `inputs.model` or to answers behind other guards, or if the engine can't serve such a model.
    """
    model, metrics = Path(cfg.inputs["model"]), cfg.inputs.get("metrics")
    fit.check(model, cfg.engine["_target_"])
    described = model_store.describe(model)
    if metrics:
        _same_as_evaluated(model, described["model"], Path(metrics), cfg.guardrail)
    served = {"engine": cfg.engine, "guardrail": cfg.guardrail}
    verdict = judge(build(cfg.gate), artifact.read_json(metrics) if metrics else {})
    if verdict["passed"]:
        verdict = _serves(model, served, verdict)
    package = artifact.tagged(described | served | {"config": artifact.digest_of(served), "code": code_digest.own(served)})
    with artifact.create(cfg.out) as partial:
        atomic.write_json(partial / "gate.json", verdict)
        atomic.write_json(partial / "package.json", package)
        if verdict["passed"]:
            shutil.copytree(model, partial / "model", copy_function=shutil.copyfile)


def _serves(model: Path, served: dict, verdict: dict) -> dict:
    """Return `verdict` with one more check: engine and guardrails answer one request, as in a deployment."""
    why = ""
    try:
        probe(model, served)
    except InputError as error:
        why = str(error)
    check = {"metric": "serves", "of": "value", "min": 1, "max": None, "above": None, "below": None, "value": int(not why)}
    check |= {"misses_by": int(bool(why)), "passed": not why, "why": why}
    return {"passed": not why, "checks": [*verdict["checks"], check]}


def _same_as_evaluated(model: Path, digest: str, metrics: Path, guardrail: dict) -> None:
    """Raises InputError if `metrics` are of another model, or of answers that other guards let through."""
    record, trained = metrics.with_name("evaluated.json"), provenance.provenance_file(metrics.parent)
    run = artifact.read_json(trained, outs=dict) if trained.is_file() else {"outs": {}}
    outs = run["outs"]
    made = {os.path.relpath(path, os.path.commonpath(outs)): found for path, found in outs.items()} if outs else {}
    if "model" in made:  # the run that trained the model wrote these metrics at its end
        record, evaluated = trained, made["model"] if made.get("metrics.json") == artifact.sha256(metrics) else "other metrics"
        guards = guards_of(run.get("section", {}).get("evaluation", {}))
    elif record.is_file():
        found = artifact.read_json(record, model=str)
        evaluated, guards = found["model"], found.get("guardrail", "")
    else:
        raise InputError(f"{record}: not there, so the model that the metrics belong to is unknown; run `dvc repro evaluate`")
    if evaluated != digest:
        raise InputError(f"{model}: digest {digest[:12]}..., but {record} says {evaluated[:12]}... was measured; run `dvc repro evaluate`")
    if guards and guards != guards_digest(guardrail):
        raise InputError(
            f"guardrail: {metrics} judges answers behind other guards than the package's: evaluate the model with the same guardrail=NAME "
            "(`fmcycle evaluate`, `fmcycle evaluate_on`; in the pipeline `guardrail: NAME` in params.yaml); guardrail=none has no guards"
        )
