from pathlib import Path

import pytest

from fmcycle.artifact import dvc_cache, folder
from fmcycle.errors import InputError

DIGEST = "files/md5/ab/" + "0123456789abcdef0123456789abcd"


@pytest.mark.parametrize("cache", [".dvc/cache", "shared/cache of the team"])
def test_files_of_an_artifact_may_be_links_into_a_cache_and_nowhere_else(tmp_path, cache):
    with folder.create(tmp_path / "made") as partial:
        (partial / "a.txt").write_text("A text.")
    kept = tmp_path / cache / DIGEST
    kept.parent.mkdir(parents=True)
    (tmp_path / "made/a.txt").rename(kept)
    (tmp_path / "made/a.txt").symlink_to(kept)
    assert dvc_cache.holds(kept) and folder.verify(tmp_path / "made")
    elsewhere = kept.rename(tmp_path / "a.txt")
    (tmp_path / "made/a.txt").unlink()
    (tmp_path / "made/a.txt").symlink_to(elsewhere)
    with pytest.raises(InputError, match="a link that leads out"):
        folder.verify(tmp_path / "made")


def test_a_path_that_only_looks_like_it_is_none():
    assert not any(map(dvc_cache.holds, (Path("/a/files/md5/ab/short"), Path("/a/dvc/cache/x"), Path(f"/a/{DIGEST}/b"))))
