"""A dataset of the hub as a source."""

from pathlib import Path
from typing import Literal

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.artifact import hub as cache
from fmcycle.errors import InputError
from fmcycle.ranges import HubReference
from fmcycle.source.local import local


def hub(
    folder: str | Path,
    *,
    name: HubReference,
    licence: str = "unknown",
    origin: Literal["public", "proprietary", "synthetic", "unknown"] = "unknown",
) -> None:
    """Copy the rows of the dataset `name` into `folder`, one file a split, with a licence record that names the commit.

    The card's licence counts unless `licence` is given. Raises InputError for a dataset that can't be read, and for a revision that may
    move: the config would name other rows tomorrow.
    """
    folder, asked = Path(folder), cache.parse(name)
    found = cache.fetched(name, "dataset")
    commit = artifact.read_json(found / cache.RECORD, commit=str)["commit"]
    pinned = asked.at(commit)
    if not asked.pinned:
        raise InputError(f"source {folder.name}: {asked} may move; write source.{folder.name}.name={pinned}")
    inner = next(path for path in found.iterdir() if path.is_dir())
    local(folder, path=str(inner), licence=licence, origin=origin)
    atomic.write_json(folder / "licence.json", artifact.read_json(folder / "licence.json") | {"url": str(pinned)})
