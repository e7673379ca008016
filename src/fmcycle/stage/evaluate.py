"""evaluate: measure a model on held-out data; write the figures, sampled answers and a page."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.config.machine import machine_of
from fmcycle.evaluation import decontaminate, need
from fmcycle.evaluation.measure import measure
from fmcycle.model import store as model_store
from fmcycle.ranges import Node
from fmcycle.serving.pipeline import guards_of

NEEDS = (("model",),)
BESIDE = ("data",)  # evaluations may read it
WRITES = ("metrics.json", "samples.jsonl", "report.html", "contaminated.jsonl", "evaluated.json")


@dataclass
class Config:
    """`evaluation`: {name: (model, processor) -> metrics}; `sample`: (model, processor) -> rows; `contamination`: finds leaked test rows.

    inputs beside model: the tables that evaluations read; for report.html, `<stage>_metrics` and `<stage>_curve` of earlier stages.
    data: the rows that the evaluations of stage=evaluate_on read. guardrail: the guards around a model whose answers are evaluated.
    trainer: device and precision.
    """

    inputs: dict
    out: str
    runs: str
    evaluation: dict[str, Node]
    sample: Node | None = None
    contamination: Node | None = None
    data: Node | None = None
    guardrail: dict[Literal["input", "output"], list[Node]] = field(default_factory=dict)
    trainer: dict | None = None


def run(cfg: Config) -> dict[str, float]:
    """Return the metrics of all evaluations; write samples.jsonl, report.html and evaluated.json (digests of inputs and guards).

    If a training text contains rows of a held-out table, its evaluations run once more without these rows: their metrics end in `/clean`,
    and contaminated.jsonl lists the rows.
    """
    out, given = Path(cfg.out), {name: path for name, path in cfg.inputs.items() if path is not None}
    build(cfg.evaluation)  # refuses a wrong evaluation before the model is loaded
    sample = build(cfg.sample) if cfg.sample else None
    before = {
        kind: {name.removesuffix(kind): artifact.read_json(path) for name, path in given.items() if name.endswith(kind)}
        for kind in ("_metrics", "_curve")
    }
    machine = machine_of(cfg)
    model, processor = model_store.load_model(given["model"], machine.device, machine.dtype)
    need.check(cfg.evaluation | ({"sample": cfg.sample} if cfg.sample else {}), lambda: model, processor)
    found, metrics, files = contaminated(cfg, given)
    samples: list[dict] = []
    metrics |= measure(cfg.evaluation, model, processor, beside=metrics, clean=files, answered=samples, bar=True)
    answered = {(row["task"], row["id"]) for row in samples}
    samples += [row for row in (sample(model, processor) if sample else []) if (row["task"], row["id"]) not in answered]
    digests = {name: artifact.digest(path) for name, path in sorted(given.items())}
    digests |= {"guardrail": guards} if (guards := guards_of(cfg.evaluation)) else {}
    from fmcycle.evaluation.report import page

    atomic.write_text(out / "samples.jsonl", "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in samples))
    atomic.write_text(out / "report.html", page(metrics, before["_metrics"], before["_curve"], samples, digests, found.to_dicts()))
    atomic.write_text(out / "contaminated.jsonl", found.write_ndjson())
    atomic.write_json(out / "evaluated.json", digests)
    return metrics


def contaminated(cfg: Config, given: dict[str, str]) -> tuple[pl.DataFrame, dict[str, float], dict[str, str]]:
    """Return (held-out rows found in training texts, their counts as metrics, {table's file: the same without these rows})."""
    if not cfg.contamination:
        return pl.DataFrame(schema=decontaminate.TOUCHED), {}, {}
    tables = {name: given[name] for name in decontaminate.TABLES if name in given and decontaminate.is_split(given[name])}
    found, rows = decontaminate.touched(tables, build(cfg.contamination))
    return found, decontaminate.counts(found, rows), decontaminate.without(tables, found, rows, Path(cfg.runs) / "clean")
