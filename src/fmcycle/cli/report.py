"""`fmcycle report`: writes the report of an evaluation with the outcome of the gate that judged it."""

import json
from pathlib import Path

from fmcycle.artifact import atomic, provenance
from fmcycle.artifact import folder as artifact
from fmcycle.cli import verbs
from fmcycle.cli.arguments import REPORT
from fmcycle.errors import InputError

KINDS = ("_metrics", "_curve")  # inputs of evaluate that are for the page alone


def main(arguments: list[str]) -> int:
    """Write the page; print its path, and what it leaves out and why."""
    given = verbs.parse("report", arguments)
    folder, page = Path(given.evaluated), Path(given.page)
    if page.is_dir() or (given.page != REPORT and not page.parent.is_dir()):
        raise InputError(f"--page {page}: name a file in a folder that exists, --page runs/report.html")
    if not (folder / "evaluated.json").is_file():
        raise InputError(f"{folder}: no evaluation here (evaluated.json is missing); run `dvc repro evaluate`, or name the out of one")
    text, left_out = render(folder, Path(given.package))
    atomic.write_text(page, text)
    print("\n".join([str(page), *left_out]))
    return 0


def render(folder: Path, package: Path) -> tuple[str, list[str]]:
    """Return the page of an evaluation's `folder` with the gate of `package`, and a sentence for each part that it leaves out."""
    from fmcycle.evaluation import report

    evaluated, metrics = artifact.read_json(folder / "evaluated.json", model=str), artifact.read_json(folder / "metrics.json")
    record = provenance.provenance_file(folder)
    made = artifact.read_json(record, inputs=dict, times=dict) if record.is_file() else {"inputs": {}}
    before, left_out = earlier(evaluated, made["inputs"])
    gate, why = judged(package, evaluated["model"], metrics)
    left_out += [why] if why else []
    when = f"evaluated {made['times']['start'][:16].replace('T', ' ')} UTC, revision {made['revision'][:12]}" if made.get("times") else ""
    rows = {name: lines(folder / f"{name}.jsonl") for name in ("samples", "contaminated")}
    stages = (before["_metrics"], before["_curve"])
    return report.page(metrics, *stages, rows["samples"], evaluated, rows["contaminated"], gate, when), left_out


def earlier(evaluated: dict[str, str], inputs: dict[str, dict]) -> tuple[dict[str, dict[str, dict]], list[str]]:
    """Return ({kind: {stage: metrics or curve}} of the stages before, a sentence for each file that is no longer the evaluated one)."""
    found: dict[str, dict[str, dict]] = {kind: {} for kind in KINDS}
    left_out = []
    for name, digest in evaluated.items():
        kind = next((each for each in KINDS if name.endswith(each)), None)
        if kind is None:
            continue
        path = Path(inputs.get(name, {}).get("path", name))
        if path.is_file() and artifact.digest(path) == digest:
            found[kind][name.removesuffix(kind)] = artifact.read_json(path)
        else:
            left_out.append(f"{path}: left out, changed or gone since the evaluation; `dvc repro evaluate` evaluates anew")
    return found, left_out


def judged(package: Path, model: str, metrics: dict) -> tuple[dict | None, str]:
    """Return (gate.json of a package that judged these metrics of this model, ""), or (None, why there is none)."""
    if not (package / "gate.json").is_file():
        return None, f"{package}: no gate has judged yet; `dvc repro package` does"
    gate = artifact.read_json(package / "gate.json", passed=bool, checks=list)
    if artifact.read_json(package / "package.json", model=str)["model"] != model:
        return None, f"{package}: its gate judged another model; run `dvc repro package`"
    for check in gate["checks"]:
        name = check["metric"] if check["of"] == "value" else f"{check['metric']}/{check['of']}"
        if name in metrics and check["value"] != metrics[name]:
            return None, f"{package}: its gate judged {name} {check['value']}, the evaluation has {metrics[name]}; run `dvc repro package`"
    return gate, ""


def lines(file: Path) -> list[dict]:
    """Return the rows of a JSONL file; [] if there is none. Raises InputError for a line that is no JSON object."""
    rows = []
    for number, line in enumerate(file.read_text().split("\n") if file.is_file() else [], start=1):
        try:
            rows += [dict(json.loads(line))] if line.strip() else []
        except (ValueError, TypeError):
            raise InputError(f"{file}:{number}: no JSON object; {artifact.repair(file)}") from None
    return rows
