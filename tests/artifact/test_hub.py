"""Models from a hub on this machine: pinned, verified, kept in the cache; every refusal is one sentence without address or token."""

import json

import pytest
from hub_server import TOKEN

from fmcycle.artifact import hub as ours
from fmcycle.artifact.hub import fetched, parse
from fmcycle.errors import InputError

CARD = "---\nlicense: apache-2.0\n---\nA tiny model.\n"
FILES = {"config.json": '{"model_type": "llama"}', "model.safetensors": bytes(range(256)) * 40, "README.md": CARD, "tokenizer.json": "{}"}


def refusal(reference: str, kind="model") -> str:
    with pytest.raises(InputError) as error:
        fetched(reference, kind)
    assert "127.0.0.1" not in str(error.value) and TOKEN not in str(error.value) and "Traceback" not in str(error.value)
    return str(error.value)


def test_a_reference_is_read_and_written_alike():
    for text in (
        "hub:me/tiny",
        "hub:gpt2",
        "hub:me/tiny@v1",
        "hub:me/rows/config.a@refs/pr/1:100",
        "hub:me/tiny/sub/q4.gguf@main",
        "hub:a/b:5",
    ):
        assert str(parse(text)) == text
    for wrong in ("hub:", "hub:a/../b", "hub:../x", "hub:a b", "hub:a/b@", "hub:a/b:0", "hub:a--b/c", "hub:a/b/../c", "hub:é/b"):
        with pytest.raises(InputError, match="not of the form hub:OWNER/NAME@REVISION"):
            parse(wrong)


def test_a_branch_becomes_its_commit_and_the_commit_is_not_asked_for_again(hub, capfd):
    sha = hub.add("models", "me/tiny", FILES | {"pytorch_model.bin": b"pickle", "modeling.py": "boom()", "deep/notes.txt": "a b"})
    found = fetched("hub:me/tiny", "model")
    said = capfd.readouterr().out
    assert f"main of hub:me/tiny is commit {sha}; write hub:me/tiny@{sha} to pin it" in said and "licence apache-2.0" in said
    names = {file.relative_to(found).as_posix() for file in found.rglob("*") if file.is_file()}
    assert names == {*FILES, "deep/notes.txt", "hub.json", "manifest.json"}
    assert (found / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert json.loads((found / "hub.json").read_text()) == {"kind": "model", "repository": "me/tiny", "commit": sha}
    assert not {"pytorch_model.bin", "modeling.py"} & set(hub.sent)
    before = len(hub.requests)
    assert fetched(f"hub:me/tiny@{sha}", "model") == found and len(hub.requests) == before
    newer = hub.repositories["models", "me/tiny"].commit(FILES | {"config.json": '{"model_type": "gpt2"}'})
    assert fetched("hub:me/tiny", "model").name == newer != sha


def test_a_damaged_copy_is_fetched_again(hub):
    sha = hub.add("models", "me/tiny", FILES)
    found = fetched(f"hub:me/tiny@{sha}", "model")
    (found / "config.json").unlink()
    assert (fetched(f"hub:me/tiny@{sha}", "model") / "config.json").read_text() == FILES["config.json"]


def test_offline_and_in_the_pipeline_only_the_cache_is_read(hub, monkeypatch):
    sha = hub.add("models", "me/tiny", FILES)
    pinned = f"hub:me/tiny@{sha}"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert f"HF_HUB_OFFLINE is set; run `fmcycle fetch model {pinned}`" in refusal(pinned)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("DVC_STAGE", "finetune")
    assert f"`fmcycle fetch model {pinned}`" in refusal(pinned)
    assert "`fmcycle fetch model hub:me/tiny` prints the commit" in refusal("hub:me/tiny")
    assert not hub.requests
    monkeypatch.delenv("DVC_STAGE")
    found = fetched("hub:me/tiny", "model")
    monkeypatch.setenv("DVC_STAGE", "finetune")
    assert fetched(pinned, "model") == found
    assert f"main may move, and the pipeline takes commits alone; write {pinned}" in refusal("hub:me/tiny")
    monkeypatch.delenv("DVC_STAGE")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetched("hub:me/tiny", "model") == found


def test_fmcycle_closes_the_hub_for_libraries_and_still_fetches(hub, monkeypatch):
    hub.add("models", "me/tiny", FILES)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    ours.close()
    assert ours.os.environ["HF_HUB_OFFLINE"] == "1" and fetched("hub:me/tiny", "model")
    monkeypatch.delenv("FMCYCLE_CLOSED_HUB")


def test_what_the_hub_refuses_is_one_sentence(hub, monkeypatch):
    sha = hub.add("models", "me/tiny", FILES)
    hub.repositories["models", "me/tiny"].refs["v1.0"] = sha
    hub.add("datasets", "me/rows", {"a.jsonl": ""})
    hub.add("models", "me/own", FILES, private=True)
    hub.add("models", "me/asked", FILES, gated=True)
    assert "no such revision; did you mean v1.0?" in refusal("hub:me/tiny@v1.1")
    assert "shows no model of this name; correct the name" in refusal("hub:me/nothing")
    assert "shows no model of this name; it is a dataset" in refusal("hub:me/rows")
    assert "set HF_TOKEN or run `hf auth login`" in refusal("hub:me/own")
    assert "its owner grants access: ask for it on its page" in refusal("hub:me/asked")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert fetched("hub:me/own", "model") and fetched("hub:me/asked", "model")
    hub.down = True
    assert "the hub answers with status 503" in refusal("hub:me/other")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "can't be reached" in refusal("hub:me/other")


def test_hostile_repositories_are_refused_and_leave_nothing(hub, tmp_path):
    for number, name in enumerate(("../../evil.json", "/etc/x.json", "a\\b.json", "new\nline.json")):
        hub.add("models", f"bad/name{number}", FILES | {name: "{}"})
        assert "leads out of a folder or fits into none" in refusal(f"hub:bad/name{number}")
    hub.add("models", "bad/pickle", {"pytorch_model.bin": b"x", "run.py": "x", "config.json": "{}"})
    assert "only pytorch_model.bin, which would run code when loaded" in refusal("hub:bad/pickle")
    hub.add("models", "bad/code", FILES | {"config.json": '{"auto_map": {"AutoModel": "x.Y"}}'})
    assert "config.json names code in the repository (auto_map)" in refusal("hub:bad/code") and "model.safetensors" not in hub.sent
    hub.add("models", "bad/huge", FILES, declared={"model.safetensors": 10**16})
    assert "needs 10,000,000 GB" in refusal("hub:bad/huge") and "model.safetensors" not in hub.sent
    for name, content in (("model.safetensors", bytes(256 * 40)), ("tokenizer.json", b"[]")):
        hub.add("models", f"bad/{name}", FILES, served={name: content})
        assert f"{name} has the digest" in refusal(f"hub:bad/{name}")
    assert not list((tmp_path / "cache").rglob("manifest.json"))
    hub.repositories["models", "bad/tokenizer.json"].served.clear()
    assert fetched("hub:bad/tokenizer.json", "model")
    odd = hub.add("models", "fine/odd", FILES | {"a [1] ü {x}.json": "{}", "card.md": "x"})
    assert (fetched(f"hub:fine/odd@{odd}", "model") / "a [1] ü {x}.json").read_text() == "{}"
    hub.add("models", "fine/card", FILES | {"README.md": "---\nlicense: [a\n---\n"})
    assert fetched("hub:fine/card", "model")


def test_one_of_several_gguf_files_is_named(hub):
    files = {"a-q4.gguf": b"GGUF4", "a-q8.gguf": b"GGUF8", "README.md": CARD}
    hub.add("models", "me/quants", files)
    assert "holds 2 GGUF files; name one: hub:me/quants/a-q4.gguf@" in refusal("hub:me/quants")
    assert "did you mean a-q8.gguf?" in refusal("hub:me/quants/a-q9.gguf")
    assert fetched("hub:me/quants/a-q8.gguf", "model").read_bytes() == b"GGUF8" and "a-q4.gguf" not in hub.sent
    hub.add("models", "me/both", FILES | {"q.gguf": b"GGUF", "consolidated.safetensors": b"again"})
    names = {file.name for file in fetched("hub:me/both", "model").iterdir()}
    assert "model.safetensors" in names and not {"q.gguf", "consolidated.safetensors"} & names
