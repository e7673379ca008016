"""Who was made from what: provenance beside every stage's out, and the way back from it."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from fmcycle import artifact, durable, manifest
from fmcycle.error import InputError


def identity(section: dict, code: str, inputs: dict[str, str]) -> str:
    """Digest of what decides a result: the section, the code it reaches, the content of the files it reads."""
    return artifact.digest_of({"section": section, "code": code, "inputs": inputs})


def provenance_file(out: str | Path) -> Path:
    """`<out>.provenance.json`: beside the out and never in it, so that times and hosts make nothing stale."""
    out = Path(out)
    return out.with_name(f"{out.name}.provenance.json")


def record(out: str | Path, stage: str, identity: str, section: dict, code: str, inputs: dict, times: dict) -> None:
    """Write the provenance of `out`. inputs: {name: {"path", "digest"}}; times: {"start": ISO, "seconds": s}."""
    packages = ("torch", "lightning", "transformers", "tokenizers", "peft", "polars", "optuna", "bentoml")
    durable.write_json(
        provenance_file(out),
        {
            "stage": stage,
            "identity": identity,
            "section": section,
            "code": code,
            "inputs": inputs,
            "outs": outs(out),
            "revision": revision(),
            "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
            "host": {"machine": platform.machine(), "cores": os.cpu_count()},
            "times": times,
        },
    )


def outs(out: str | Path) -> dict[str, str]:
    """{path: content digest} of what a stage left in `out`: its folders, and every file of those by itself."""
    out = Path(out)
    if not out.is_dir():
        return {out.as_posix(): artifact.digest(out)}
    tops = [out] if (out / artifact.MANIFEST).is_file() else [path for path in sorted(out.iterdir()) if not path.name.startswith(".")]
    found = {top.as_posix(): artifact.digest(top) for top in tops}
    for top in tops:
        found |= {(top / name).as_posix(): entry["sha256"] for name, entry in (manifest.read(top) or {}).items()}
    return found


def is_as_recorded(out: Path, recorded: dict) -> bool:
    """Is what a provenance says that a stage left in `out` still there, byte for byte? What DVC does not keep may be gone, as adapter/."""
    there = {path: digest for path, digest in recorded["outs"].items() if Path(path).exists()}
    return bool(there) and there.items() <= outs(out).items()


def revision() -> str:
    """The commit that the code stands at, `+` where the tree has changes; empty outside git."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def find(roots=("artifacts", "runs", ".")) -> dict[str, list[dict]]:
    """{content digest: provenances of the stages that left it} of everything recorded below `roots`."""
    known: dict[str, list[dict]] = {}
    for root in roots:
        pattern = "*.provenance.json" if root == "." else "**/*.provenance.json"
        for file in sorted(Path(root).glob(pattern)):
            try:
                entry = artifact.read_json(file, outs=dict, inputs=dict, stage=str, identity=str, code=str, revision=str)
            except InputError:
                continue  # a half-written one: its stage never ended
            for digest in set(entry["outs"].values()):
                known.setdefault(digest, []).append(entry)
    return known


def origin(path: str, digest: str, known: dict[str, list[dict]]) -> dict | None:
    """Who made `path`: the stage that left these bytes there, else one that left the same bytes elsewhere."""
    entries = known.get(digest, [])
    return next((entry for entry in entries if entry["outs"].get(path) == digest), entries[0] if entries else None)


def show(path: str | Path) -> None:
    """Print the tree of inputs behind `path`. Raises InputError where there is no such path, or it is damaged."""
    from rich.console import Console
    from rich.tree import Tree

    path, known = Path(path), find()
    top = artifact.verify(path)
    tree = Tree(f"[bold]{path}[/] {top[:12]}")
    members = {path.as_posix(): top}
    if top not in known and path.is_dir():
        members = {item.as_posix(): artifact.digest(item) for item in sorted(path.iterdir()) if not item.name.startswith(".")}
    seen: set[str] = set()
    for name, digest in members.items():
        _branch(tree, name, digest, known, seen)
    Console(soft_wrap=True).print(tree)


def _branch(tree, path: str, digest: str, known: dict[str, list[dict]], seen: set[str]) -> None:
    entry = origin(path, digest, known)
    if entry is None:
        return
    key = entry["identity"]
    if key in seen:
        tree.add(f"{entry['stage']} [dim](above)[/]")
        return
    seen.add(key)
    node = tree.add(f"{entry['stage']} [dim]identity {key[:12]}, code {entry['code'][:12]}, revision {entry['revision'][:8] or 'none'}[/]")
    for name, given in sorted(entry["inputs"].items()):
        _branch(node.add(f"{name}: {given['path']} [dim]{given['digest'][:12]}[/]"), given["path"], given["digest"], known, seen)
