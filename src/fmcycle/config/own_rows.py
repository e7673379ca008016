"""`data=hub:OWNER/NAME`: the short word for the input that the stage's rows come from."""

import re

from fmcycle.artifact import hub
from fmcycle.config import groups
from fmcycle.errors import ConfigError

WORD = re.compile(rf"\+*data=(['\"]?)({hub.HUB}[^'\"]*)\1")
TABLES = ("instructions", "preferences", "documents", "examples")


def named(overrides: list[str]) -> list[str]:
    """Return the overrides with `inputs.NAME=hub:...` in place of `data=hub:...`. Raises ConfigError if the input is not clear."""
    found = [(text, match[2]) for text in overrides if (match := WORD.fullmatch(text))]
    if not found:
        return overrides
    rest = [text for text in overrides if not WORD.fullmatch(text)]
    stage = groups.stage_of(rest)
    inputs = reads(stage, rest)
    if len(inputs) != 1:
        known = inputs or [name for name in TABLES if name in (groups.content("stage", stage).get("inputs") or {})]
        way = f"name the input: {' or '.join(f'inputs.{name}={found[0][1]}' for name in known)}" if known else "leave it out"
        raise ConfigError([f"data={found[0][1]}: {stage} reads {' and '.join(known) or 'no rows'}; {way}"])
    return [*rest, *(f"inputs.{inputs[0]}={value}" for _, value in found)]


def reads(stage: str, overrides: list[str]) -> list[str]:
    """Return the tables that the data option of a stage reads; `data` for a stage that reads any folder; [] if it reads no rows."""
    if "data" in (groups.content("stage", stage).get("inputs") or {}):
        return ["data"]
    experiment = next((text.partition("=")[2] for text in reversed(overrides) if text.startswith("experiment=")), "")
    chosen = {**groups.defaults("stage", stage), **groups.defaults("experiment", experiment)}
    options = [str(chosen.get("data")), *(text.partition("=")[2] for text in overrides if text.startswith("data="))]
    read = groups.INPUT.findall(str(groups.content("data", options[-1])))
    used = {"documents" if name == "tokens" else name for name in read}
    return [name for name in TABLES if name in used]
