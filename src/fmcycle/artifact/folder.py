"""The only artifact format: a folder with `manifest.json`, written last."""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from fmcycle.artifact import atomic, digest_cache, dvc_cache, manifest
from fmcycle.artifact.manifest import MANIFEST, listing
from fmcycle.errors import DiskFull, InputError


def sha256(path: str | Path) -> str:
    """Return the hex digest of a file's bytes; a large file that did not change is not read again."""
    return digest_cache.sha256(path)


def digest_of(content) -> str:
    """Return the hex digest of plain data (dict, list, str, numbers), independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def create(folder: str | Path, *, ours: bool = False):
    """Yield an empty folder to write into; on success it gets its manifest and replaces `folder`.

    After an error or a kill, `folder` is unchanged. ours: only fmcycle writes there, so any old content may go.
    Raises InputError if `folder` exists and is no artifact: it belongs to the user; DiskFull if a library could not write all of it.
    """
    folder = Path(folder)
    if not ours and folder.exists() and (foreign := manifest.stranger(folder)):
        raise InputError(f"{folder}: holds {foreign}, which fmcycle did not write; move it away, or choose another folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        atomic.write_json(partial / MANIFEST, listing(partial))
        atomic.replace_folder(partial, folder)
    except Exception as error:
        if atomic.full(error) and not isinstance(error, DiskFull):
            raise atomic.no_space(folder) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def copy(source: Path, folder: Path) -> None:
    """Copy the files of the artifact `source`, unchanged, into a new artifact `folder`."""
    with create(folder) as partial:
        shutil.copytree(source, partial, dirs_exist_ok=True, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(MANIFEST))


def digest(path: str | Path) -> str:
    """Return the content digest of an artifact folder (of its manifest), of any other folder (of its listing) or of a file."""
    path = Path(path)
    if path.is_file():
        return sha256(path)
    if manifest.is_ours(path / MANIFEST):
        return sha256(path / MANIFEST)
    return digest_of(listing(path))


def verify(path: str | Path, *, raw: bool = False, whole: bool = False) -> str:
    """Check `path`, a folder or one file of it, against the manifest; return its content digest.

    A folder must hold the files of its manifest and no others. A folder or file without a manifest (the user's own data) passes.
    raw: another program's manifest.json is data like any other file. whole: read every byte, without the digest cache.
    Raises InputError naming the file, both digests and the command that repairs it.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: not there; {repair(path)}")
    folder = path if path.is_dir() else path.parent
    if (raw or path != folder) and not manifest.is_ours(folder / MANIFEST):
        return digest(path)
    try:
        listed = manifest.read(folder)
    except InputError as error:
        raise InputError(f"{error}; {repair(folder)}") from None
    if listed is None:
        return digest(path)
    for name, entry in listed.items() if path == folder else [(path.name, listed.get(path.name))]:
        _check_file(folder, name, entry, digest_cache.read if whole else sha256)
    if path == folder:
        _check_more(folder, listed)
    return digest(path)


def _check_file(folder: Path, name: str, entry: dict | None, sha256: Callable[[Path], str]) -> None:
    file = folder / name
    if entry is None:
        raise InputError(f"{file}: not in {folder / MANIFEST}; {repair(folder)}")
    if not file.is_file():
        raise InputError(f"{file}: listed in the manifest but missing; {repair(folder)}")
    place = file.resolve()
    if not place.is_relative_to(folder.resolve()) and not dvc_cache.holds(place):
        raise InputError(f"{file}: a link that leads out of {folder}; {repair(folder)}")
    found = sha256(file)
    if found != entry["sha256"]:
        raise InputError(f"{file}: sha256 {found[:12]}..., manifest says {entry['sha256'][:12]}...; {repair(folder)}")


def _check_more(folder: Path, listed: dict[str, dict]) -> None:
    """Raises InputError for a file that the manifest does not list, and for a wrong index of weights."""
    if more := manifest.unlisted(folder, listed):
        raise InputError(f"{more}: not in {folder / MANIFEST}, and a library might load it; delete it, or {repair(folder)}")
    for name in listed:
        if name.endswith(".index.json"):
            indexed(folder / name)


def indexed(file: Path) -> set[str]:
    """Return the files that an index of weights names. Raises InputError if it has another form, or names a file that is not beside it."""
    content = read_json(file)
    names = content.get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise InputError(f'{file}: not an index of weights, {{"weight_map": {{tensor: file}}}}; {repair(file.parent)}')
    for name in sorted(set(names.values())):
        place = file.parent / name
        if Path(name).name != name or not place.is_file():
            raise InputError(f"{file}: names {name}, which is not a file beside it; {repair(file.parent)}")
    return set(names.values())


def unique(pairs: list[tuple]) -> dict:
    """Return a dict of `pairs`. Raises ValueError for a key that stands twice; json would take the last one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} twice")
    return found


def read_json(file: str | Path, **kinds: type | tuple[type, ...]) -> dict:
    """Return a JSON object with the keys of `kinds`, each of its type. Raises InputError with the file, what is wrong and the repair."""
    file = Path(file)
    try:
        found = json.loads(file.read_bytes(), object_pairs_hook=unique)
    except FileNotFoundError:
        raise InputError(f"{file}: not readable: it does not exist; {repair(file)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: not readable as JSON ({str(error)[:80]}); {repair(file)}") from None
    if not isinstance(found, dict):
        raise InputError(f"{file}: holds no JSON object; {repair(file)}")
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            words = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
            raise InputError(f"{file}: `{name}` is {type(found.get(name)).__name__}, not {words}; {repair(file)}")
    return found


def repair(path: Path) -> str:
    """Return the command that repairs `path`."""
    parts = path.parts
    if "artifacts" in parts and parts.index("artifacts") + 1 < len(parts):
        stage = parts[parts.index("artifacts") + 1]
        return f"run `dvc checkout --force {path}` or `dvc repro --force {stage}`"
    return "make it again with the command that made it, or name another with inputs.NAME=PATH"


def tagged(package: dict) -> dict:
    """Return `package` (plain data) with its `tag`: 16 hex digits of the digest of everything else in it."""
    content = {key: value for key, value in package.items() if key != "tag"}
    return content | {"tag": digest_of(content)[:16]}
