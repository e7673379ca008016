"""Fetches one reference from the hub into the cache: the process behind `fmcycle.artifact.hub.fetched`. Runs no code of a repository."""

import hashlib
import json
import os
import re
import shutil
import sys
from contextlib import contextmanager
from glob import escape
from pathlib import Path, PurePosixPath

import yaml

from fmcycle.artifact import atomic, external, hub
from fmcycle.artifact import folder as artifact
from fmcycle.artifact.hub import Kind, Reference
from fmcycle.errors import InputError, suggest

TAKEN = (".safetensors", ".gguf", ".json", ".jinja", ".txt", ".model", ".tiktoken", ".md")  # none of them runs code when read
TEXT = re.compile(r"(licen[sc]e|copying|notice)[\w.-]*", re.I)
WEIGHTS = (".safetensors", ".gguf")
OURS = (hub.RECORD, artifact.MANIFEST)  # names of files that the cache adds
ODD = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
CARD = re.compile(r"\A---\r?\n(.*?)\r?\n---\s*$", re.S | re.M)
FREE = 1 << 30  # bytes that a fetch leaves free on the disk


def main() -> int:
    """hub_fetch KIND REFERENCE: print {"path", "said"} or {"error"} as the last line."""
    kind, text = sys.argv[1:]
    asked = hub.parse(text)
    try:
        with explained(asked, kind):
            path, said = fetch(asked, kind)  # type: ignore[arg-type]
        answer = {"path": str(path), "said": said}
    except InputError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
    return 2 if "error" in answer else 0


def fetch(asked: Reference, kind: Kind) -> tuple[Path, str]:
    """Fetch what `asked` names at its present commit. Returns (its place in the cache, one line that says what it is)."""
    from huggingface_hub import HfApi

    api = HfApi(library_name="fmcycle")
    about = (api.model_info if kind == "model" else api.dataset_info)(asked.repo, revision=asked.revision, files_metadata=True)
    commit = str(about.sha)
    if not hub.COMMIT.fullmatch(commit):
        raise InputError(f"{asked}: the hub names no commit for it; ask for another revision")
    pinned = asked.at(commit)
    if not asked.pinned:
        atomic.write_text(hub.ref(asked, kind), commit)
    moved = "" if asked.pinned else f"{asked.revision or hub.MAIN} of {hub.HUB}{asked.repo} is commit {commit}; write {pinned} to pin it\n"
    files = checked(asked, about.siblings or [])
    path = hub.cached(pinned, kind)
    if not path:
        path = model(pinned, files)
    folder = path if path.is_dir() else path.parent
    size = sum(entry["size"] for entry in artifact.read_json(folder / artifact.MANIFEST).values())
    return path, f"{moved}{pinned}: {kind}, {size / 1e6:,.1f} MB in {folder}, licence {licence(folder) or 'not stated'}"


@contextmanager
def explained(asked: Reference, kind: str):
    """Turn what the hub refuses, and what the network does, into one sentence; neither the address of the hub nor a token stands in it."""
    import httpx2
    from huggingface_hub import errors

    other = "dataset" if kind == "model" else "model"
    try:
        yield
    except errors.GatedRepoError:
        raise InputError(f"{asked}: its owner grants access: ask for it on its page, then set HF_TOKEN or run `hf auth login`") from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{asked}: no such revision{suggest(str(asked.revision), revisions(asked, kind))}") from None
    except errors.RepositoryNotFoundError:
        way = f"it is a {other}" if exists(asked, other) else "correct the name; for a private one set HF_TOKEN or run `hf auth login`"
        raise InputError(f"{asked}: the hub shows no {kind} of this name; {way}") from None
    except errors.HFValidationError as error:
        raise InputError(f"{asked}: {str(error).splitlines()[0]}; correct the name") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no"
        way = "HF_TOKEN may not read it" if status in (401, 403) else "try again later"
        raise InputError(f"{asked}: the hub answers with status {status}; {way}") from None
    except (httpx2.HTTPError, ConnectionError, errors.LocalEntryNotFoundError) as error:
        raise InputError(f"{asked}: the hub can't be reached ({type(error).__name__}); check the network, and HF_ENDPOINT if set") from None


def revisions(asked: Reference, kind: str) -> list[str]:
    """Return the branches and tags of a repository."""
    from huggingface_hub import HfApi

    refs = HfApi().list_repo_refs(asked.repo, repo_type=kind)
    return [each.name for each in (*refs.branches, *refs.tags)]


def exists(asked: Reference, kind: str) -> bool:
    """True if the hub has a repository of another kind under this name."""
    from huggingface_hub import HfApi

    return HfApi().repo_exists(asked.repo, repo_type=kind)


def checked(asked: Reference, siblings: list) -> dict:
    """Return {name: what the hub declares of the file}. Raises InputError for a name that no folder can hold."""
    found = {each.rfilename: each for each in siblings}
    for name in found:
        parts = name.split("/")
        if ODD.search(name) or any(part in ("", ".", "..") for part in parts) or len(name.encode("utf-8", "replace")) > 1000:
            raise InputError(f"{asked}: holds a file named {name!r}, which leads out of a folder or fits into none; name another revision")
    return found


def model(asked: Reference, files: dict) -> Path:
    """Fetch the weights and all that describes them; pickles and code stay on the hub. Returns the folder or the GGUF file asked for."""
    chosen = needed(asked, files)
    described = [name for name in chosen if PurePosixPath(name).suffix not in WEIGHTS]
    start = download(asked, "model", described, files)
    for name in described:
        if PurePosixPath(name).name in external.WITH_CODE and "auto_map" in artifact.read_json(start / name):
            raise InputError(
                f"{asked}: {name} names code in the repository (auto_map), which is never run; name a model whose class transformers has"
            )
    start = download(asked, "model", chosen, files)
    with artifact.create(hub.place(asked, "model"), ours=True) as partial:
        for name in chosen:
            link((start / name).resolve(), partial / name)
        atomic.write_json(partial / hub.RECORD, {"kind": "model", "repository": asked.repo, "commit": asked.revision})
    found = hub.cached(asked, "model")
    assert found
    return found


def needed(asked: Reference, files: dict) -> list[str]:
    """Return the names to fetch. Raises InputError if the repository has no weights that can be read, or several and none named."""
    kept = [name for name in files if PurePosixPath(name).suffix.lower() in TAKEN or TEXT.fullmatch(PurePosixPath(name).name)]
    kept = [name for name in kept if not any(part.startswith(".") for part in name.split("/")) and name not in OURS]
    quantized = [name for name in kept if name.lower().endswith(".gguf")]
    tensors = [name for name in kept if name.endswith(".safetensors")]
    if asked.part:
        inside = [name for name in kept if name == asked.part or name.startswith(f"{asked.part}/")]
        if not any(PurePosixPath(name).suffix.lower() in WEIGHTS for name in inside):
            raise InputError(f"{asked}: holds no weights {asked.part}{suggest(asked.part, quantized or tensors)}")
        return [name for name in kept if name in inside or ("/" not in name and PurePosixPath(name).suffix.lower() not in WEIGHTS)]
    if not tensors and len(quantized) > 1:
        named = ", ".join(str(Reference(asked.repo, name, asked.revision)) for name in quantized[:3])
        raise InputError(f"{asked}: holds {len(quantized)} GGUF files; name one: {named}{' ...' if len(quantized) > 3 else ''}")
    if not tensors and not quantized:
        pickles = [name for name in files if PurePosixPath(name).suffix.lower() in external.PICKLES]
        only = f", only {', '.join(pickles[:3])}, which would run code when loaded" if pickles else ""
        raise InputError(f"{asked}: holds no safetensors and no GGUF file{only}; name a revision or a repository that has them")
    if not tensors:
        return [*kept]
    double = {name for name in tensors if name.startswith("consolidated") and any(not each.startswith("consolidated") for each in tensors)}
    return [name for name in kept if name not in quantized and name not in double]


def download(asked: Reference, kind: Kind, names: list[str], files: dict) -> Path:
    """Return the snapshot in huggingface_hub's own cache with `names` in it, each with the digest that the hub declares."""
    from huggingface_hub import snapshot_download

    size = sum(files[name].size or 0 for name in names)
    top = next(each for each in (hub.home(asked, kind), *hub.home(asked, kind).parents) if each.exists())
    free = shutil.disk_usage(top).free
    if size + FREE > free:
        raise InputError(f"{asked}: needs {size / 1e9:,.0f} GB, {free / 1e9:,.0f} GB are free; free some, or set HF_HOME and FMCYCLE_CACHE")
    found = snapshot_download(asked.repo, repo_type=kind, revision=asked.revision, allow_patterns=[escape(name) for name in names])
    for name in names:
        same(asked, Path(found) / name, files[name])
    return Path(found)


def same(asked: Reference, file: Path, declared) -> None:
    """Raise InputError, and delete the file, if it has not the digest that the hub declares for it."""
    if declared.lfs is not None:
        expected, found = declared.lfs.sha256, artifact.sha256(file.resolve()) if file.is_file() else ""
    else:
        content = file.read_bytes() if file.is_file() else b""
        expected, found = declared.blob_id, hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if expected and found != expected:
        if file.is_file():
            file.resolve().unlink()
            file.unlink(missing_ok=True)
        raise InputError(
            f"{asked}: {file.name} has the digest {found[:12]}..., the hub declares {expected[:12]}...: it was changed or cut on its way; "
            "run the same command again, and ask its owner if it stays so"
        )


def link(file: Path, target: Path) -> None:
    """Put a file of huggingface_hub's cache to `target`, as a hard link if both lie on one disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def head(folder: Path) -> dict | None:
    """Return the metadata of the card in `folder`: {} without a card, None if it can't be read."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    found = CARD.search(text)
    try:
        content = yaml.safe_load(found[1]) if found else {}
    except (yaml.YAMLError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def licence(folder: Path) -> str | None:
    """Return the licence that the card in `folder` states, several joined by AND; None if it states none."""
    content = head(folder) or {}
    named = content.get("license_name") or content.get("license")
    return " AND ".join(map(str, named)) if isinstance(named, list) else str(named) if named else None


if __name__ == "__main__":
    sys.exit(main())
