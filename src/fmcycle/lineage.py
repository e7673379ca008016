"""Who was made from what: provenance beside every stage's out, and the way back from it."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from fmcycle import artifact, durable


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
    """{path: content digest} of the artifact folders and files that a stage left in `out`."""
    out = Path(out)
    if (out / artifact.MANIFEST).is_file() or not out.is_dir():
        return {out.as_posix(): artifact.digest(out)}
    return {path.as_posix(): artifact.digest(path) for path in sorted(out.iterdir()) if not path.name.startswith(".")}


def revision() -> str:
    """The commit that the code stands at, `+` where the tree has changes; empty outside git."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def find(roots=("artifacts", "runs", ".")) -> dict[str, dict]:
    """{content digest: provenance} of everything that stages recorded below `roots`."""
    known: dict[str, dict] = {}
    for root in roots:
        pattern = "*.provenance.json" if root == "." else "**/*.provenance.json"
        for file in sorted(Path(root).glob(pattern)):
            try:
                entry = json.loads(file.read_text())
            except ValueError:
                continue  # a half-written one: its stage never ended
            for path, digest in entry["outs"].items():
                known.setdefault(digest, entry | {"path": path})
    return known


def show(path: str | Path) -> None:
    """Print the tree of inputs behind `path`. Raises InputError where there is no such path."""
    from rich import print as rich_print
    from rich.tree import Tree

    path = Path(path)
    known = find()
    top = artifact.verify(path)
    tree = Tree(f"[bold]{path}[/] {top[:12]}")
    members = [top] if top in known else [artifact.digest(item) for item in sorted(path.iterdir())] if path.is_dir() else [top]
    seen: set[str] = set()
    for digest in dict.fromkeys(members):
        _branch(tree, digest, known, seen)
    rich_print(tree)


def _branch(tree, digest: str, known: dict, seen: set[str]) -> None:
    entry = known.get(digest)
    if entry is None:
        return
    key = entry["identity"]
    again = key in seen
    node = tree.add(f"{entry['stage']} [dim]identity {key[:12]}, code {entry['code'][:12]}, revision {entry['revision'][:8] or 'none'}[/]")
    if again:
        node.add("[dim](above)[/]")
        return
    seen.add(key)
    for name, given in sorted(entry["inputs"].items()):
        _branch(node.add(f"{name}: {given['path']} [dim]{given['digest'][:12]}[/]"), given["digest"], known, seen)
