import json
import os
import time

import pytest

from fmcycle.artifact import digest_cache
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError

CONTENT = b"0123456789" * 20


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of one shard, made a minute ago; and how often a file's bytes were read since: a list of their names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(digest_cache, "LARGE", 100)
    clock, reads, read = time.time_ns, [], digest_cache.read
    monkeypatch.setattr(time, "time_ns", lambda: clock() + 60 * 10**9)
    monkeypatch.setattr(digest_cache, "read", lambda path: reads.append(os.path.basename(path)) or read(path))
    with artifact.create("artifacts/tokens") as partial:
        (partial / "shard").write_bytes(CONTENT)
        (partial / "small").write_text("1")
    artifact.verify("artifacts/tokens")
    reads.clear()
    return tmp_path / "artifacts/tokens", reads


def rewrite(file, content, times=None):
    """Change the file in its place."""
    with open(file, "r+b") as handle:
        handle.write(content)
    if times:
        os.utime(file, ns=times)


def test_a_large_file_that_did_not_change_is_read_once_a_small_one_always(store):
    folder, reads = store
    digest = artifact.verify(folder)
    assert "shard" not in reads and "small" in reads
    digest_cache.CACHE.unlink()
    assert artifact.verify(folder) == digest and "shard" in reads


@pytest.mark.parametrize("time_kept", [False, True])
@pytest.mark.parametrize("place", [0, 99, 199])
def test_a_changed_byte_of_a_large_file_is_found_though_its_size_and_even_its_time_are_kept(store, time_kept, place):
    folder, _ = store
    shard = folder / "shard"
    before = shard.stat()
    content = bytearray(CONTENT)
    content[place] ^= 1
    rewrite(shard, content, (before.st_atime_ns, before.st_mtime_ns) if time_kept else None)
    assert (shard.stat().st_size, shard.stat().st_mtime_ns == before.st_mtime_ns) == (before.st_size, time_kept)
    with pytest.raises(InputError, match=r"shard: sha256 .*manifest says"):
        artifact.verify(folder)
    rewrite(shard, CONTENT)
    artifact.verify(folder)  # mended: by its content again


def test_another_file_in_its_place_is_found(store):
    folder, _ = store
    before = (folder / "shard").stat()
    (folder / "other").write_bytes(CONTENT[::-1])
    os.utime(folder / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(folder / "other", folder / "shard")
    with pytest.raises(InputError, match="shard: sha256"):
        artifact.verify(folder)


def test_what_was_changed_a_moment_ago_is_not_remembered(store, monkeypatch):
    folder, _ = store
    monkeypatch.undo()
    monkeypatch.chdir(folder.parents[1])
    monkeypatch.setattr(digest_cache, "LARGE", 100)
    rewrite(folder / "shard", CONTENT)
    before = digest_cache.CACHE.read_text()
    artifact.verify(folder)
    assert digest_cache.CACHE.read_text() == before


def test_a_broken_memory_and_one_that_can_not_be_written_cost_only_time(store, monkeypatch):
    folder, reads = store
    digest_cache.CACHE.write_text('{"1:2": ')
    artifact.verify(folder)
    assert "shard" in reads and json.loads(digest_cache.CACHE.read_text())
    monkeypatch.setattr(digest_cache, "CACHE", folder / "shard/nowhere")
    artifact.verify(folder)
