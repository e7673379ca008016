"""DVC's cache, to which the files of a folder may be links (cache.type symlink), in the project or shared by several."""

import re
from pathlib import Path

PLACE = re.compile(r"/\.dvc/cache/|/files/md5/[0-9a-f]{2}/[0-9a-f]{30}\Z")


def holds(place: Path) -> bool:
    """Return True if a file without links in its path lies in a cache of DVC."""
    return bool(PLACE.search(place.as_posix()))
