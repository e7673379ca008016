import os
import subprocess
import sys

import pytest

from fmcycle.artifact import atomic
from fmcycle.errors import DiskFull


def test_a_reader_sees_the_old_or_the_new_content_and_no_partial_file_stays(tmp_path):
    file = tmp_path / "a.json"
    atomic.write_json(file, {"b": 1, "a": [1, 2]})
    atomic.write_json(file, {"a": 2})
    assert file.read_text() == '{\n "a": 2\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_nan_is_refused_and_the_old_file_stands(tmp_path):
    file = tmp_path / "a.json"
    atomic.write_json(file, {"loss": 1.0})
    with pytest.raises(ValueError):
        atomic.write_json(file, {"loss": float("nan")})
    assert "1.0" in file.read_text()


def test_no_disk_space_is_one_clear_error_and_the_old_file_stands(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    atomic.write_text(file, "old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match=r"a.txt: no space left on the disk .* MB free\); delete runs in runs/"):
        atomic.write_text(file, "new")
    assert file.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_second_writer_is_refused_and_told_who_holds_the_folder(tmp_path, root):
    code = f"from fmcycle.artifact import atomic\nwith atomic.lock({str(tmp_path / 'out')!r}): print('held')"
    with atomic.lock(tmp_path / "out"):
        second = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(root / "src")}
        )
    assert second.returncode and f"process {os.getpid()} is writing here" in second.stderr
    with atomic.lock(tmp_path / "out"):
        pass


def test_replacing_a_folder_leaves_one_whole_folder(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a").write_text("1")
    (tmp_path / "new").mkdir()
    (tmp_path / "new/b").write_text("2")
    atomic.replace_folder(tmp_path / "new", tmp_path / "old")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["old", "old/b"]
