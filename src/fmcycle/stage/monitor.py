"""monitor: compare served traffic with a reference; report what differs, by how much, and whether to retrain."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fmcycle.artifact import atomic
from fmcycle.config.build import build
from fmcycle.monitor import history
from fmcycle.monitor.page import page
from fmcycle.ranges import Node, PositiveInt
from fmcycle.source.feedback import TAUGHT, read

NEEDS = (("feedback",), ("reference",))
WRITES = ("findings.json", "monitor.html")
FORMER = 4  # models before the last whose traffic is judged again


@dataclass
class Config:
    """`monitor`: {name: (reference, window) -> finding}."""

    inputs: dict
    out: str
    monitor: dict[str, Node]
    min_interactions: PositiveInt = 30  # with fewer, no monitor runs
    min_corrections: PositiveInt = 20  # so many corrected answers alone recommend retraining
    rows: PositiveInt = 2000  # at most so many of the reference, chosen by the digest of their id


def run(cfg: Config) -> None:
    """Compare inputs.feedback with inputs.reference; write findings.json and monitor.html."""
    traffic, monitors = read(Path(cfg.inputs["feedback"]) / "feedback.parquet"), build(cfg.monitor)
    before = reference(cfg.inputs["reference"], cfg.rows) if len(traffic) >= cfg.min_interactions else pl.DataFrame()
    result = judged(cfg, monitors, before, latest(traffic))
    chats = asked(traffic).filter(pl.col("kind") == "chat")
    sided = {name: monitor for name, monitor in monitors.items() if hasattr(monitor, "side")}
    parts = history.windows(chats, cfg.min_interactions)
    former = [part for part in history.models(traffic)[:-1] if len(part) >= cfg.min_interactions][-FORMER:]
    result["history"] = history.over_time(traffic) | {
        "drift": history.drift(sided, before, parts),  # without parts, no monitor asks for the reference
        "models": [answered(part, judged(cfg, monitors, before, part)) for part in former]
        + ([answered(latest(traffic), result)] if len(traffic) else []),
    }
    atomic.write_json(Path(cfg.out) / "findings.json", result)
    atomic.write_text(Path(cfg.out) / "monitor.html", page(result))


def judged(cfg: Config, monitors: dict, before: pl.DataFrame, window: pl.DataFrame) -> dict:
    """Return {"interactions", "findings", "retrain", "reason", "reasons"} of a window of traffic. before: the reference."""
    findings: dict[str, dict] = {}
    if len(window) >= cfg.min_interactions:
        every = asked(window)
        for name, monitor in monitors.items():
            # a monitor with a `side` compares texts, and the reference holds chats only
            now = every.filter(pl.col("kind") == "chat") if hasattr(monitor, "side") else every
            if len(now) >= cfg.min_interactions:
                findings[name] = monitor(before, now)
    return {"interactions": len(window), "findings": findings} | verdict(window, findings, cfg.min_interactions, cfg.min_corrections)


def answered(window: pl.DataFrame, result: dict) -> dict:
    """Return a model's line in the history: when it answered, how often, and what its traffic said."""
    times = history.timed(window)["time"]
    ends = {"first": times[0], "last": times[-1]} if len(times) else {"first": "", "last": ""}
    return {"model": window["model"][0]} | ends | {name: result[name] for name in ("interactions", "retrain", "reason")}


def latest(feedback: pl.DataFrame) -> pl.DataFrame:
    """Return the interactions with the model that answered last; it was trained on earlier ones."""
    ordered = feedback.sort("time", "answer_id")
    return ordered.filter(pl.col("model") == ordered["model"][-1]) if len(ordered) else ordered


def asked(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window with `prompt` replaced by the text of its last message."""
    return window.with_columns(pl.col("prompt").list.last().struct.field("content").alias("prompt"))


def reference(path: str, rows: int) -> pl.DataFrame:
    """Return columns prompt and answer of the instructions at `path`, at most `rows` of them."""
    frame = pl.read_parquet(path, columns=["id", "messages", "source"])
    frame = frame.filter(pl.col("source") != "feedback", pl.col("messages").list.len() > 1)
    digests = pl.Series([hashlib.sha256(name.encode()).hexdigest() for name in frame["id"]], dtype=pl.String)
    chosen = frame.with_columns(order=digests).sort("order").head(rows)
    parts = {"prompt": -2, "answer": -1}
    return chosen.select(pl.col("messages").list.get(place).struct.field("content").alias(name) for name, place in parts.items())


def verdict(window: pl.DataFrame, findings: dict[str, dict], min_interactions: int, min_corrections: int) -> dict:
    """Return {"retrain": True, False or None, "reason": a sentence, "reasons": the parts of a reason to retrain}."""
    n = len(window)
    if not n:
        return {"retrain": None, "reason": "0 interactions, no verdict", "reasons": []}
    reasons = [f"{name}: {found['what']}" for name, found in findings.items() if found["alarm"]]
    corrected = window.filter(pl.col("corrected") != "", pl.col("kind").is_in(TAUGHT)).height
    if corrected >= min_corrections:
        reasons.append(f"{corrected} corrected answers to learn from")
    if reasons:
        return {"retrain": True, "reason": "; ".join(reasons), "reasons": reasons}
    why = f"{n} interactions, {corrected} corrections, none of {len(findings)} monitors alarms"
    if n < min_interactions:
        why = f"{n} interactions and {corrected} corrections: too few (at least {min_interactions} or {min_corrections})"
    return {"retrain": False, "reason": why, "reasons": []}
