import resource

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from fmcycle.artifact import folder as artifact
from fmcycle.errors import DiskFull, InputError


def make(folder, **files):
    with artifact.create(folder) as partial:
        for name, text in files.items():
            (partial / name).write_text(text)
    return folder


def test_the_same_content_has_the_same_digest_wherever_it_stands(tmp_path):
    one, two = make(tmp_path / "a", x="1", y="2"), make(tmp_path / "deep/b", y="2", x="1")
    assert artifact.verify(one) == artifact.verify(two)
    assert artifact.digest(make(tmp_path / "c", x="1", y="3")) != artifact.digest(one)


def test_a_folder_without_manifest_does_not_exist_after_an_error(tmp_path):
    make(tmp_path / "a", x="1")
    with pytest.raises(RuntimeError), artifact.create(tmp_path / "a") as partial:
        (partial / "x").write_text("half")
        raise RuntimeError
    assert (tmp_path / "a/x").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


WRITERS = {
    "python": lambda file: file.write_bytes(bytes(50_000)),
    "safetensors": lambda file: save_file({"x": np.random.default_rng(0).random(9_000)}, file),
    "polars": lambda file: pl.DataFrame({"x": np.random.default_rng(0).random(9_000)}).write_parquet(file),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_leaves_the_folder_before(name, tmp_path):
    make(tmp_path / "a", x="1")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # no file may grow beyond this
        with pytest.raises(DiskFull, match=r"a: no space left on the disk .* MB free"), artifact.create(tmp_path / "a") as partial:
            WRITERS[name](partial / "y")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "a/x").read_text() == "1" and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_every_single_bit_flip_is_seen_and_both_digests_named(tmp_path):
    folder = make(tmp_path / "artifacts/pretrain/model", weights="0123456789")
    content = (folder / "weights").read_bytes()
    for bit in range(0, 8 * len(content), 7):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / "weights").write_bytes(flipped)
        with pytest.raises(InputError, match=r"weights: sha256 .*manifest says .*dvc repro --force pretrain"):
            artifact.verify(folder)


def test_a_missing_file_a_strange_file_and_a_broken_manifest_are_named(tmp_path):
    folder = make(tmp_path / "a", x="1", y="2")
    (folder / "z").write_text("3")
    with pytest.raises(InputError, match="z: not in"):
        artifact.verify(folder / "z")
    (folder / "x").unlink()
    with pytest.raises(InputError, match="x: listed in the manifest but missing"):
        artifact.verify(folder)
    (folder / "manifest.json").write_text('{"x": ')
    with pytest.raises(InputError, match="not readable as JSON"):
        artifact.verify(folder)
    with pytest.raises(InputError, match="not there"):
        artifact.verify(tmp_path / "nowhere")


def test_a_persons_own_folder_needs_no_manifest(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("hello")
    before = artifact.verify(tmp_path / "texts")
    (tmp_path / "texts/a.txt").write_text("other")
    assert artifact.verify(tmp_path / "texts") != before
