"""Fetches one reference from the hub into the cache: the process behind `fmcycle.artifact.hub.fetched`. Runs no code of a repository."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from fmcycle.artifact import atomic, external, hub, hub_rows
from fmcycle.artifact import folder as artifact
from fmcycle.artifact.hub import Kind, Reference
from fmcycle.artifact.hub_files import TEXT, checked, download, licence, link
from fmcycle.errors import InputError, suggest

TAKEN = (".safetensors", ".gguf", ".json", ".jinja", ".txt", ".model", ".tiktoken", ".md")  # none of them runs code when read
WEIGHTS = (".safetensors", ".gguf")
OURS = (hub.RECORD, artifact.MANIFEST)  # names of files that the cache adds


def main() -> int:
    """hub_fetch REFERENCE KIND: print {"path", "said"} or {"error"} as the last line."""
    text, kind = sys.argv[1:]
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
        path = (model if kind == "model" else hub_rows.rows)(pinned, files)
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


if __name__ == "__main__":
    sys.exit(main())
