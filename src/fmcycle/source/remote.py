"""Whatever fsspec reaches (s3, gs, abfs, http, hdfs, ssh, memory, file ...) as a source: the files under a URL."""

from pathlib import Path
from typing import Literal, cast

from fmcycle.errors import InputError
from fmcycle.source.local import is_hidden, keep, write_record

# file systems of fsspec that hold files under an address
PROTOCOLS = (
    "file",
    "s3",
    "gs",
    "gcs",
    "abfs",
    "abfss",
    "az",
    "http",
    "https",
    "hdfs",
    "webhdfs",
    "ssh",
    "sftp",
    "ftp",
    "smb",
    "hf",
    "memory",
)


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
    if problem := fault(url):
        raise InputError(f"source {folder.name}: {shown(url)}: {problem}; correct source.{folder.name}.url")
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
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each file system's library has errors of its own
        why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no more is said'}"
        raise InputError(f"source {folder.name}: {url} cannot be read ({why}); check the address, the network and its library") from error
    write_record(folder, licence, origin, url=url)


def fault(url: str) -> str | None:
    """Why an address is not read: a file system that is none of PROTOCOLS, a chain of them, a password in it; None if it is read."""
    protocol, separator, rest = url.partition("://")
    if "::" in url:
        return "a chain of file systems; name the archive itself, which curate opens"
    if not separator:
        return f"no address; it begins with one of {', '.join(f'{name}://' for name in PROTOCOLS)}"
    if protocol not in PROTOCOLS:
        return f"{protocol} is no file system that is read; there is {', '.join(PROTOCOLS)}"
    if "@" in rest.split("/")[0] and ":" in rest.split("@")[0]:
        return "holds a password, which every artifact would show; leave it to the environment or the profile of its library"
    return None


def shown(url: str) -> str:
    """An address without what stands before an @, and cut where it is long."""
    head, at, tail = url.rpartition("@")
    return (f"{head.partition('://')[0]}://...@{tail}" if at else url)[:200]
