"""The files under a URL as a source, through a file system of fsspec (s3, gs, abfs, http, hdfs, ssh, memory, file ...)."""

from pathlib import Path
from typing import Literal, cast

from fmcycle.config.address import fault, shown
from fmcycle.errors import InputError
from fmcycle.ranges import Address
from fmcycle.source.local import is_hidden, keep, write_record


def remote(
    folder: str | Path,
    *,
    url: Address,
    licence: str = "unknown",
    origin: Literal["public", "proprietary", "synthetic", "unknown"] = "unknown",
) -> None:
    """Copy the files under `url` into `folder` byte for byte and write a licence record; `curate` parses and filters them.

    Credentials come from the file system's own library (environment, profile), never from a config.
    Raises InputError if `url` is refused or has no files, or its file system cannot be reached or is not installed.
    """
    import fsspec
    from fsspec.core import url_to_fs

    folder = Path(folder)
    if problem := fault(url):
        raise InputError(f"source {folder.name}: {problem}; correct source.{folder.name}.url")
    try:
        system, root = url_to_fs(url)
        found = sorted(system.find(root))
        base = root.rstrip("/") if found != [root] else root.rpartition("/")[0]
        names = {name.removeprefix(base).lstrip("/"): name for name in found}
        chosen = [name for name in names if not is_hidden(Path(name))]
        if not chosen:
            raise InputError(f"source {folder.name}: no files under {shown(url)}; correct source.{folder.name}.url")
        if any(".." in Path(name).parts for name in chosen):
            raise InputError(f"source {folder.name}: {shown(url)} has a file with .. in its name; give the URL of each file instead")
        keep(folder, chosen, lambda name: cast(fsspec.core.OpenFile, system.open(names[name], "rb")))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each file system's library has errors of its own
        why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        told = f"{shown(url)} cannot be read ({why}); check the address, the network and its library"
        raise InputError(f"source {folder.name}: {told}") from error
    write_record(folder, licence, origin, url=url)
