"""Tiny wheels, made here: the tests need no network."""

import hashlib
import zipfile

import pytest


@pytest.fixture
def make_wheel(tmp_path):
    """make_wheel(name, {member: text or bytes}, ...) -> (file, {"name", "version", "sha256"})."""

    def make(name: str, members: dict, folder=None, version: str = "1.0", licence: str | None = "MIT License, word for word"):
        folder = folder or tmp_path / "registry"
        folder.mkdir(parents=True, exist_ok=True)
        stem = name.replace("-", "_")
        info = f"{stem}-{version}.dist-info"
        metadata = {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense-Expression: MIT\n\nLong description\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
        if licence:
            metadata[f"{info}/licenses/LICENSE.txt"] = licence
        file = folder / f"{stem}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as wheel:
            for member, content in {**members, **metadata}.items():
                wheel.writestr(member, content)
        return file, {"name": name, "version": version, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}

    return make


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty download cache, and a pip that reaches nothing."""
    monkeypatch.setenv("FMCYCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "cache" / "downloads"
