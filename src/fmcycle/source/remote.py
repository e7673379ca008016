"""Whatever fsspec reaches (s3, gs, abfs, http, hdfs, ssh, memory, file ...) as a source: the files under a URL."""

from pathlib import Path
from typing import Literal, cast

from fmcycle.error import InputError
from fmcycle.source.local import is_hidden, keep, write_record


def remote(
    folder: str | Path,
    *,
    url: str,
    licence: str = "unknown",
    origin: Literal["public", "proprietary", "synthetic", "unknown"] = "unknown",
) -> None:
    """Take the files under `url` into `folder` byte for byte, with a licence record; `curate` reads and judges them.

    Credentials are those that the file system's own library finds (environment, profile): none stands in a config.
    Raises InputError where there is nothing, or the file system cannot be reached or is not installed.
    """
    import fsspec
    from fsspec.core import url_to_fs

    folder = Path(folder)
    try:
        system, root = url_to_fs(url)
        found = sorted(system.find(root))
        base = root.rstrip("/") if found != [root] else root.rpartition("/")[0]
        names = {name.removeprefix(base).lstrip("/"): name for name in found}
        chosen = [name for name in names if not is_hidden(Path(name))]
        if not chosen:
            raise InputError(f"source {folder.name}: nothing under {url}; correct source.{folder.name}.url")
        if any(".." in Path(name).parts for name in chosen):
            raise InputError(f"source {folder.name}: {url} has a name that leads out of it; take the files one by one")
        keep(folder, chosen, lambda name: cast(fsspec.core.OpenFile, system.open(names[name], "rb")))
    except InputError:
        raise
    except (OSError, ImportError, ValueError, fsspec.exceptions.FSTimeoutError) as error:
        raise InputError(f"source {folder.name}: {url} cannot be read ({error}); check the address, the network and its library") from error
    write_record(folder, licence, origin, url=url)
