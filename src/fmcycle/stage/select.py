"""select: run short trials, choose the best of them and of the existing models, confirm the choice on fresh data."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import yaml
from rich import print as say

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.config.machine import machine_of
from fmcycle.errors import InputError, Interrupted
from fmcycle.evaluation import need
from fmcycle.evaluation.measure import measure
from fmcycle.model import store as model_store
from fmcycle.ranges import ExistingPath, Node, NonNegativeFloat, NonNegativeInt, PositiveInt, Section, Space
from fmcycle.search import space as search_space
from fmcycle.search import study as search

WRITES = ("model", "best.yaml", "trials.json", "metrics.json")


@dataclass
class Config:
    """entrants: {name: model folder}, judged without training. candidates: {name: section of train}; a trial varies one within `space`.

    judge, confirm: {name: (model, processor) -> metrics}, over different rows. score: {metric: weight}; their weighted sum is maximised.
    incumbent: the entrant that wins unless another model scores more than `margin` above it on the rows of `confirm`.
    """

    inputs: dict
    out: str
    runs: str
    processor: Node
    model: Node
    trainer: Node
    entrants: dict[str, ExistingPath]
    candidates: dict[str, Section]
    space: Space
    judge: dict[str, Node]
    confirm: dict[str, Node]
    score: dict[str, float]
    incumbent: str
    trials: PositiveInt = 4
    seed: NonNegativeInt = 0
    margin: NonNegativeFloat = 0.0


def run(cfg: Config) -> dict[str, float]:
    """Write model/ (the confirmed winner), best.yaml (its overrides) and trials.json; return metrics of winner and incumbent.

    cfg.runs keeps the study and the trials' models until the stage ends: if the stage is killed, the same command resumes at that trial.
    Raises InputError if the incumbent is no entrant, or if no evaluation of `judge` gives a metric of the score.
    """
    space = check(cfg)
    rows = [entrant(cfg, name, folder) for name, folder in cfg.entrants.items()]
    for study, trial in search.study(Path(cfg.runs), cfg.seed, cfg.trials):
        attempt(cfg, study, trial, space)
    trials = [row_of(trial) for trial in study_trials(cfg)]
    ended = [row for row in [*rows, *trials] if row["score"] is not None]
    best = max(ended, key=lambda row: row["score"])
    metrics, winner = confirmed(cfg, best, rows)
    metrics |= {"trials": len(trials), "failed_trials": sum(row["score"] is None for row in trials)}
    keep(cfg, winner, [*rows, *trials])
    return metrics


def check(cfg: Config) -> dict:
    """Return the search space as {dotted key: draw}. Raises InputError if incumbent, space or score fit nothing, or if a half of the rows
    is empty; evaluations whose tables are still to be made are looked at when they are there."""
    if cfg.incumbent not in cfg.entrants:
        raise InputError(f"incumbent: {cfg.incumbent} is not an entrant; choose one of {', '.join(cfg.entrants)}")
    space = search_space.leaves(build(cfg.space))
    for name, section in cfg.candidates.items():
        try:
            search_space.changed(section, dict.fromkeys(space))
        except KeyError as error:
            raise InputError(f"space.{error.args[0]}: candidates.{name} has no such key; correct it in conf/search") from None
    check_fresh(cfg)
    return space


def check_fresh(cfg: Config) -> None:
    """Raise InputError if `judge` or `confirm` can't give every metric of the score, or has no rows."""
    for place, nodes in (("judge", cfg.judge), ("confirm", cfg.confirm)):
        evaluations = build(nodes)
        given = {metric for evaluation in evaluations.values() for metric in evaluation.gives}
        if lacking := [metric for metric in cfg.score if metric not in given]:
            measures = f"{', '.join(evaluations)} measure {', '.join(sorted(given))}" if given else "it has no evaluations"
            raise InputError(
                f"score.{lacking[0]}: not measured by {place} ({measures}); remove it with ~score.{lacking[0]}, or choose an evaluation "
                f"that measures it, 'evaluation@{place}=[...]'"
            )
        for name, evaluation in evaluations.items():
            if need.there(nodes[name]) and not evaluation.rows():
                raise InputError(
                    f"{place}.{name}: no rows in the {evaluation.half} half of {evaluation.split}; one half can't both choose and "
                    f"confirm: raise split.{evaluation.split} and run `fmcycle curate` again, or name a table with more groups of rows"
                )


def entrant(cfg: Config, name: str, folder: str) -> dict:
    """Return the row of an entrant; cfg.runs caches it per device and precision, so a resumed stage does not evaluate it again."""
    file = Path(cfg.runs) / f"entrant-{name}-{machine_of(cfg).computes}.json"
    if not file.is_file():
        metrics = measured(cfg, cfg.judge, folder)
        atomic.write_json(file, {"name": name, "overrides": {}, "score": score(cfg, metrics), "metrics": metrics})
        say(f"select: entrant {name}, score {score(cfg, metrics):.4f}")
    return json.loads(file.read_text())


def attempt(cfg: Config, study, trial, space: dict) -> None:
    """Run one trial and tell the study its score; a trial that diverges or raises is recorded as failed, and the next one runs."""
    import optuna

    name = trial.suggest_categorical("candidate", list(cfg.candidates))
    overrides = {key: draw(trial, key) for key, draw in space.items()}
    folder = Path(cfg.runs) / f"trial-{trial.number:03d}"
    try:
        train(cfg, cfg.candidates[name], overrides, folder)
        metrics = measured(cfg, cfg.judge, folder / "out/model")
        value = score(cfg, metrics)
        if not math.isfinite(value):
            raise ValueError(f"score {value}")
    except (InputError, Interrupted):
        raise  # a wrong input says nothing about the trial, and an interrupted trial is resumed
    except (ValueError, RuntimeError, ArithmeticError) as error:
        trial.set_user_attr("reason", str(error).splitlines()[0] if str(error) else type(error).__name__)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        say(f"select: trial {trial.number}, {name} with {overrides}, failed: {error}")
        return
    trial.set_user_attr("metrics", metrics)
    trial.set_user_attr("overrides", overrides)
    study.tell(trial, value)
    say(f"select: trial {trial.number}, {name} with {overrides}, score {value:.4f}")


def train(cfg: Config, section: dict, overrides: dict, folder: Path) -> None:
    """Train a candidate into folder/out/model, as the stages finetune and align do."""
    from fmcycle.stage.train import run as train_run

    shared = {"processor": cfg.processor, "model": cfg.model, "trainer": cfg.trainer, "logger": {}, "evaluation": {}, "minutes": 0}
    places = {"out": str(folder / "out"), "runs": str(folder / "runs")}
    train_run(SimpleNamespace(**shared | search_space.changed(section, overrides) | places))  # type: ignore[arg-type]


def measured(cfg: Config, evaluations: dict, folder: str | Path) -> dict[str, float]:
    """Return the score's metrics, with intervals, of the model in `folder`. Raises InputError if the evaluations do not give them."""
    machine = machine_of(cfg)
    model, processor = model_store.load_model(folder, machine.device, machine.dtype)
    metrics = measure(evaluations, model, processor)
    if missing := [name for name in cfg.score if name not in metrics]:
        there = ", ".join(name for name in metrics if "/" not in name)
        raise InputError(f"score.{missing[0]}: not measured (no held-out rows?); the evaluations gave {there}; correct it in conf/search")
    return {name: value for name, value in metrics.items() if name.partition("/")[0] in cfg.score}


def score(cfg: Config, metrics: dict[str, float]) -> float:
    """Return the weighted sum that select maximises."""
    return sum(weight * metrics[name] for name, weight in cfg.score.items())


def study_trials(cfg: Config) -> list:
    """Return all trials of the study, in their order."""
    import optuna

    return optuna.load_study(study_name="select", storage=f"sqlite:///{(Path(cfg.runs) / 'study.db').resolve()}").get_trials()


def row_of(trial) -> dict:
    """Return the trial's row for trials.json; it holds no times, so that the same sweep writes the same bytes."""
    row = {"name": f"trial-{trial.number:03d}", "candidate": trial.params.get("candidate"), "score": trial.value}
    return row | {key: trial.user_attrs[key] for key in ("overrides", "metrics", "reason") if key in trial.user_attrs}


def model_of(cfg: Config, row: dict) -> Path:
    """Return the model folder of an entrant's or a trial's row."""
    return Path(cfg.entrants[row["name"]]) if "candidate" not in row else Path(cfg.runs) / row["name"] / "out/model"


def confirmed(cfg: Config, best: dict, rows: list[dict]) -> tuple[dict[str, float], dict]:
    """Return (metrics of winner and incumbent on fresh rows, the winner's row). `best` wins only if it gains more than cfg.margin."""
    incumbent = next(row for row in rows if row["name"] == cfg.incumbent)
    old = measured(cfg, cfg.confirm, model_of(cfg, incumbent))
    new = old if best is incumbent else measured(cfg, cfg.confirm, model_of(cfg, best))
    gain = score(cfg, new) - score(cfg, old)
    won = best is not incumbent and gain > cfg.margin
    say(f"select: {best['name']} against {cfg.incumbent} on fresh rows: {gain:+.4f}, {'it wins' if won else f'{cfg.incumbent} stays'}")
    winner, found = (best, new) if won else (incumbent, old)
    figures = {"score": score(cfg, found), "incumbent/score": score(cfg, old), "challenger/score": score(cfg, new)}
    return {name: round(value, 6) for name, value in figures.items()} | {"challenger_won": int(won)} | found, winner


def keep(cfg: Config, winner: dict, rows: list[dict]) -> None:
    """Write the winner's model/, best.yaml and trials.json; delete the trials' models."""
    out = Path(cfg.out)
    artifact.copy(model_of(cfg, winner), out / "model")
    best = {"winner": winner["name"], "candidate": winner.get("candidate", winner["name"]), "overrides": winner["overrides"]}
    atomic.write_text(out / "best.yaml", yaml.safe_dump(best, sort_keys=True))
    atomic.write_json(out / "trials.json", rows)
    for folder in Path(cfg.runs).glob("trial-*"):
        shutil.rmtree(folder)
