"""`fmcycle push FOLDER hub:OWNER/NAME`: a model with a card and its provenance, made of what the project recorded."""

import tempfile
from pathlib import Path
from typing import Any

import yaml

from fmcycle.artifact import atomic, external, hub, manifest, provenance
from fmcycle.artifact import folder as artifact
from fmcycle.cli import verbs
from fmcycle.cli.lineage import origin
from fmcycle.config import model_path
from fmcycle.errors import InputError
from fmcycle.licence.audit import TABLES, counted
from fmcycle.licence.policy import UNKNOWN, family

ADDED = ("README.md", "provenance.json", hub.RECORD)  # files that a push makes anew
BOUND = ("no-derivatives", "non-commercial", "share-alike")  # families that bind whoever passes weights on


def main(arguments: list[str]) -> None:
    """Push a model; with --dry-run print its files and its card, and ask nobody."""
    given = verbs.parse("push", arguments)
    asked = hub.parse(given.reference)
    if asked.part or asked.rows or asked.pinned:
        raise InputError(f"{asked}: a push goes to hub:OWNER/NAME, or to a branch of it, hub:OWNER/NAME@BRANCH")
    if (why := hub.offline()) and not given.dry_run:
        raise InputError(f"{asked}: {why}, so nothing can be written to the hub")
    model = Path(model_path.located(given.folder))
    if not manifest.is_ours(model / artifact.MANIFEST):
        raise InputError(
            f"{model}: has no manifest, so fmcycle did not write it; make it an artifact first: `fmcycle convert model={model}`"
        )
    artifact.verify(model, whole=True)
    story = Story(model)
    licence = story.licence(given.licence)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "model"
        with artifact.create(ready) as partial:
            for name in manifest.read(model) or {}:
                if name not in ADDED:
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    (partial / name).symlink_to((model / name).resolve())
            atomic.write_text(partial / "README.md", story.card(asked.repo, licence))
            atomic.write_json(partial / "provenance.json", story.told())
        if given.dry_run:
            names = {name: entry["size"] for name, entry in (manifest.read(ready) or {}).items()}
            print("\n".join(f"{size:>14,}  {name}" for name, size in names.items()) + "\n\n" + (ready / "README.md").read_text())
            return
        answer = hub.ask("hub_push", str(asked), str(ready), "private" if given.private else "public")
    print(f"{given.folder} -> {asked.at(answer['commit'])}, licence {licence}")


class Story:
    """What the project recorded of how a model was made: `entries`, the provenances behind it, nearest first, and the leaves."""

    def __init__(self, model: Path):
        self.model, self.known = model, provenance.find()
        self.entries: list[dict] = []
        self.bases: dict[str, Path] = {}  # weights that no stage here made
        self.data: dict[str, Path] = {}  # raw data that no stage here made
        self._walk("model", model.as_posix(), artifact.digest(model))

    def _walk(self, name: str, path: str, digest: str) -> None:
        entry = origin(path, digest, self.known)
        if entry is None:
            kept = self.bases if external.form(Path(path)) else self.data if name in ("data", "local", "examples", *TABLES) else {}
            kept[named(path)] = Path(path)
        elif entry not in self.entries:
            self.entries.append(entry)
            for key, given in sorted(entry["inputs"].items()):
                if key != "reference":
                    self._walk(key, given["path"], given["digest"])

    def licence(self, said: str | None) -> str:
        """Return the licence to push under: `said`, else that of the base. Raises InputError if the base forbids it, or nobody said one."""
        found = {name: external.stated(path) or UNKNOWN for name, path in self.bases.items() if path != self.model}
        configs = [entry["section"].get("model") or {} for entry in self.entries]
        found |= {named(str(node["path"])): node["licence"] for node in configs if node.get("path") and node.get("licence")}
        for name, licence in found.items():
            kind = family(licence)
            if kind == "no-derivatives":
                raise InputError(f"{self.model}: was made of {name} under {licence}, which forbids to pass on what was changed")
            if said and kind in BOUND and family(said) != kind:
                raise InputError(
                    f"{self.model}: was made of {name} under {licence}, which must be passed on under its own terms, not {said}"
                )
        stated = list(dict.fromkeys(licence for licence in found.values() if licence != UNKNOWN))
        if not (chosen := said or " AND ".join(stated)):
            raise InputError(f"{self.model}: nobody said under which licence it may be passed on; give --licence=NAME, an SPDX name")
        return chosen

    def rows(self) -> list[tuple[str, str, int]]:
        """Return (source, licence, rows) of the tables that the model learned from, as far as they are here."""
        files = {
            given["path"]
            for entry in self.entries
            for name, given in entry["inputs"].items()
            if name in TABLES and "objective" in entry["section"]
        }
        found = [row for file in sorted(files) if file.endswith(".parquet") and Path(file).is_file() for row in counted(file, {})]
        return sorted({row[:2]: row for row in found}.values())

    def figures(self) -> list[tuple[str, Any, Any, Any, Any]]:
        """Return (metric, value, low, high, n) of the evaluations of exactly this model."""
        digest = artifact.digest(self.model)
        entries = [entry for some in self.known.values() for entry in some]
        judged = [entry for entry in entries if digest in entry["outs"].values() or evaluated(entry) == digest]
        held: dict[str, Any] = {}
        for file in dict.fromkeys(Path(path) for entry in judged for path in entry["outs"] if path.endswith("/metrics.json")):
            held |= artifact.read_json(file) if file.is_file() else {}
        named = [name for name in sorted(held) if {f"{name}/low", f"{name}/high"} <= {*held}]
        return [(name, held[name], held[f"{name}/low"], held[f"{name}/high"], held.get(f"{name}/n")) for name in named]

    def card(self, repo: str, licence: str) -> str:
        """Return the model card: metadata that the hub reads, then how the model was made, what it scored and on what."""
        bases = [name.removeprefix(hub.HUB).partition("@")[0] for name in self.bases if name.startswith(hub.HUB)]
        sets = [name.removeprefix(hub.HUB).partition("@")[0] for name in self.data if name.startswith(hub.HUB)]
        config = artifact.read_json(self.model / "config.json")
        causal = any("ForCausalLM" in name for name in config.get("architectures") or [])
        head = {"license": licence.lower() if " " not in licence else "other", "library_name": "transformers", "tags": ["fmcycle"]}
        head |= {"license_name": licence} if " " in licence else {}
        head |= {"base_model": bases[0] if len(bases) == 1 else bases} if bases else {}
        head |= {"datasets": sets} if sets else {}
        head |= {"pipeline_tag": "text-generation"} if causal else {}
        lines = [
            f"# {repo.rpartition('/')[2]}",
            "",
            f"Licence: {licence}. Digest of the folder before the push: `{artifact.digest(self.model)}`.",
            "",
        ]
        lines += ["## How it was made", "", "| stage | objective | strategy | identity |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {entry['stage']} | {kind(entry, 'objective')} | {kind(entry, 'strategy')} | `{entry['identity'][:12]}` |"
            for entry in self.entries
        ]
        lines += ["", *(f"- made of {name}" for name in (*self.bases, *self.data)), ""]
        if rows := self.rows():
            lines += ["## Rows it learned from", "", "| source | licence | rows |", "| --- | --- | --- |"]
            lines += [f"| {source} | {own} | {count:,} |" for source, own, count in rows] + [""]
        if figures := self.figures():
            lines += ["## Evaluation", "", "| metric | value | 95 % interval | n |", "| --- | --- | --- | --- |"]
            lines += [f"| {name} | {value:.4g} | {low:.4g} to {high:.4g} | {n or ''} |" for name, value, low, high, n in figures] + [""]
        lines += ["`provenance.json` holds configs, digests and code revision of each stage."]
        return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n" + "\n".join(lines) + "\n"

    def told(self) -> list[dict]:
        """Return the provenances without host and times; a path outside the project is told by its name alone."""
        kept = [{key: value for key, value in entry.items() if key not in ("host", "times", "lock")} for entry in self.entries]
        for entry in kept:
            entry["inputs"] = {key: given | {"path": named(given["path"])} for key, given in entry["inputs"].items()}
            entry["section"] = inside(entry["section"])
            entry["outs"] = {named(path): digest for path, digest in entry["outs"].items()}
        return kept


def named(path: str) -> str:
    """Return what a path is called outside this machine: a reference to the hub, a path in the project, else the last name."""
    for folder in (Path(path), *Path(path).parents):
        if (record := folder / hub.RECORD).is_file():
            about = artifact.read_json(record, repository=str, commit=str)
            return f"{hub.HUB}{about['repository']}@{about['commit']}"
    return Path(path).name if Path(path).is_absolute() or ".." in Path(path).parts else path


def inside(node):
    """Return a section with every absolute path in it as `named` calls it."""
    if isinstance(node, dict):
        return {key: inside(value) for key, value in node.items()}
    if isinstance(node, list):
        return [inside(item) for item in node]
    return named(node) if isinstance(node, str) and node.startswith("/") and Path(node).exists() else node


def evaluated(entry: dict) -> str | None:
    """Return the digest of the model that a stage only measured; None for a stage that trained one."""
    section = entry["section"]
    return entry["inputs"].get("model", {}).get("digest") if "evaluation" in section and "objective" not in section else None


def kind(entry: dict, group: str) -> str:
    """Return the last name of what a section builds for a group; "" without one."""
    return str((entry["section"].get(group) or {}).get("_target_", "")).rpartition(".")[2]
