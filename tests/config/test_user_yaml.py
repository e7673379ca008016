"""A key that stands twice in a file of a person is named, at every depth; YAML would take the last one."""

import pytest

from fmcycle.artifact.folder import read_json
from fmcycle.config import build, selection
from fmcycle.config.user_yaml import content
from fmcycle.errors import ConfigError, InputError


@pytest.mark.parametrize(
    ("text", "key"), [("model: a\nstages: {}\nmodel: b\n", "model"), ("stages: {finetune: {strategy: lora, strategy: full}}\n", "strategy")]
)
def test_a_key_that_stands_twice_is_named(tmp_path, monkeypatch, text, key):
    monkeypatch.chdir(tmp_path)
    for name, read in (("params.yaml", selection._choices), ("local.yaml", lambda _: build.local())):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=rf"{name}: not valid YAML \(the key {key} twice"):
            read(tmp_path / name)


def test_anchors_and_empty_files_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text("one: &base {lr: 1}\ntwo: {<<: *base, r: 2}\nthree: {<<: *base, lr: 3}\n")
    assert content(tmp_path / "a.yaml") == {"one": {"lr": 1}, "two": {"lr": 1, "r": 2}, "three": {"lr": 3}}
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert content(tmp_path / "a.yaml") == {}


def test_a_key_that_stands_twice_in_a_record_is_named(tmp_path):
    (tmp_path / "licence.json").write_text('{"licence": "MIT", "origin": "public", "licence": "CC-BY-NC-4.0"}')
    with pytest.raises(InputError, match=r"licence\.json: not readable as JSON \(the key licence twice\)"):
        read_json(tmp_path / "licence.json", licence=str)
