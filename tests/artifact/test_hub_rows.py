"""Rows of datasets from a hub on this machine: streamed, split as they came, under the card's licence; no script is run."""

import io
import json
import tarfile

import polars as pl
import pytest

from fmcycle.artifact.hub import fetched
from fmcycle.errors import InputError
from fmcycle.source.reader import read

CARD = "---\nlicense: {}\n---\nRows.\n"


def asked(count: int, start: int = 0) -> list[dict]:
    return [{"question": f"Where is jar {number}?", "answer": f"On shelf {number * 3}."} for number in range(start, start + count)]


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(rows: list[dict], **how) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(rows).write_parquet(file, **how)
    return file.getvalue()


def refusal(reference: str) -> str:
    with pytest.raises(InputError) as error:
        fetched(reference, "dataset")
    assert "127.0.0.1" not in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_rows_are_those_of_the_folder_with_its_splits_and_licence(hub, tmp_path):
    files = {"data/train-00000-of-00001.parquet": parquet(asked(30)), "data/test-00000-of-00001.parquet": parquet(asked(4, 30))}
    files |= {"README.md": CARD.format("cc-by-4.0").encode(), "run.py": b"boom()"}
    sha = hub.add("datasets", "me/rows", files)
    found = read(fetched("hub:me/rows", "dataset")).table("instructions")
    for name, content in files.items():
        (tmp_path / "near" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "near" / name).write_bytes(content)
    near = read(tmp_path / "near").table("instructions")
    same = ["messages", "split", "licence", "group"]
    assert found.select(same).sort("group").equals(near.select(same).sort("group"))
    assert set(found["split"]) == {"train", "test"} and set(found["licence"]) == {"cc-by-4.0"} and set(found["source"]) == {"me--rows"}
    assert json.loads((fetched(f"hub:me/rows@{sha}", "dataset") / "hub.json").read_text())["commit"] == sha
    assert "run.py" not in hub.sent


@pytest.mark.prove
def test_a_limit_fetches_a_part_of_a_large_file(hub):
    rows = [{"text": f"{number} {'wide ' * 2000}"} for number in range(10000)]
    how = {"row_group_size": 100, "compression": "uncompressed", "use_pyarrow": True, "pyarrow_options": {"use_dictionary": False}}
    files = {"train.parquet": parquet(rows, **how), "train.jsonl": lines(rows[:5000]).encode()}
    for name, content in files.items():
        hub.add("datasets", f"me/{name[6:]}", {name: content, "README.md": CARD.format("mit")})
        assert len(read(fetched(f"hub:me/{name[6:]}:30", "dataset")).table("documents")) == 30
        assert hub.sent[name] < 0.7 * len(content), name  # datasets asks for some 30 MB at a time


def test_one_of_several_configs_is_named(hub):
    card = "---\nlicense: mit\nconfigs:\n{}---\n"
    entries = "".join(f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/x.jsonl\n" for name in ("en", "de"))
    files = {f"{name}/x.jsonl": lines(asked(3, start)) for name, start in (("en", 0), ("de", 10))}
    hub.add("datasets", "me/two", files | {"README.md": card.format(entries)})
    assert "has 2 configs; name one: hub:me/two/en@" in refusal("hub:me/two")
    assert "has no config d; did you mean de?" in refusal("hub:me/two/d")
    assert "jar 10" in str(read(fetched("hub:me/two/de", "dataset")).table("instructions")["messages"].to_list())
    hub.add("datasets", "me/usual", files | {"README.md": card.format(entries.replace("name: de\n", "name: de\n  default: true\n"))})
    assert "jar 10" in str(read(fetched("hub:me/usual", "dataset")).table("instructions")["messages"].to_list())


def test_no_script_of_a_repository_is_run(hub, tmp_path):
    script = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    hub.add("datasets", "bad/script", {"script.py": script, "data.jsonl": lines(asked(3)), "README.md": CARD.format("mit")})
    told = refusal("hub:bad/script")
    assert "no code of a repository is run; try hub:bad/script@refs/convert/parquet" in told
    assert not (tmp_path / "ran").exists() and "script.py" not in hub.sent


def test_a_card_can_not_make_datasets_read_another_place(hub, tmp_path):
    (tmp_path / "secret.jsonl").write_text(lines([{"text": "the key"}]))
    hub.add("datasets", "me/other", {"x.jsonl": lines(asked(1))})
    elsewhere = (
        f"{tmp_path}/secret.jsonl",
        f"{hub.address}/datasets/me/other/resolve/main/x.jsonl",
        "../../secret.jsonl",
        "hf://datasets/me/other/x.jsonl",
        f"zip://x.jsonl::{tmp_path}/secret.zip",
        "~/secret.jsonl",
    )
    for number, path in enumerate(elsewhere):
        settings = f"configs:\n- config_name: a\n  data_files:\n  - split: train\n    path: ['{path}']\n"
        name, text = (".huggingface.yaml", settings) if number == 0 else ("README.md", f"---\n{settings}---\n")
        hub.add("datasets", f"bad/card{number}", {"x.jsonl": lines(asked(2)), name: text})
        assert "which lies outside the repository" in refusal(f"hub:bad/card{number}")
    assert "x.jsonl" not in hub.sent and not list((tmp_path / "cache").rglob("manifest.json"))


def test_columns_that_open_files_and_other_formats_are_refused(hub, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"the key")
    card = "---\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: seen\n    {}: image\n---\n"
    seen = {"path": f"{tmp_path}/secret.png", "bytes": None}
    for kind, value in (("dtype", seen), ("list", [seen])):
        hub.add("datasets", f"bad/{kind}", {"train.jsonl": lines([{"text": "a", "seen": value}]), "README.md": card.format(kind)})
        assert "holds Image, which hub: does not read" in refusal(f"hub:bad/{kind}")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "secret.png", "a.pth")
    hub.add("datasets", "bad/tar", {"train.tar": (tmp_path / "x.tar").read_bytes()})
    assert "is of the format webdataset" in refusal("hub:bad/tar")


def test_damaged_and_empty_datasets_are_one_sentence(hub, tmp_path):
    hub.add("datasets", "bad/card", {"train.jsonl": lines(asked(3)), "README.md": "---\nlicense: [a\n---\n"})
    assert "its README.md has no readable YAML" in refusal("hub:bad/card")
    hub.add("datasets", "bad/lines", {"train.jsonl": '{"a": 1}\n{"a": ', "README.md": CARD.format("mit")})
    assert "datasets can't read it" in refusal("hub:bad/lines")
    hub.add("datasets", "bad/cut", {"train.parquet": parquet(asked(9))[:-9], "README.md": CARD.format("mit")})
    assert "datasets can't read it" in refusal("hub:bad/cut")
    hub.add("datasets", "bad/none", {"README.md": CARD.format("mit")})
    assert "datasets can't read it" in refusal("hub:bad/none")
    hub.add("datasets", "bad/up", {"../train.jsonl": lines(asked(3))})
    assert "leads out of a folder" in refusal("hub:bad/up")
    assert not list((tmp_path / "cache").rglob("manifest.json"))
    hub.add("datasets", "fine/bare", {"a/train.jsonl": lines(asked(3))})
    assert set(read(fetched("hub:fine/bare", "dataset")).table("instructions")["licence"]) == {"unknown"}


def test_mixed_and_labelled_columns_come_through(hub):
    card = "---\nlicense: mit\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n"
    card += "    dtype:\n      class_label:\n"
    card += "        names:\n          '0': bad\n          '1': good\n---\n"
    hub.add(
        "datasets", "me/labels", {"train.jsonl": lines([{"text": "Fine.", "label": 1}, {"text": "Bad.", "label": 0}]), "README.md": card}
    )
    assert read(fetched("hub:me/labels", "dataset")).table("documents")["label"].to_list() == ["good", "bad"]
    talk = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    hub.add("datasets", "me/talks", {"train.jsonl": lines([talk, talk | {"note": 1}, talk | {"note": ["x"]}])})
    assert len(read(fetched("hub:me/talks", "dataset")).table("instructions")) == 3


def test_without_the_extra_it_is_one_sentence(hub, tmp_path, monkeypatch):
    hub.add("datasets", "me/rows", {"train.jsonl": lines(asked(3))})
    (tmp_path / "without/datasets").mkdir(parents=True)
    (tmp_path / "without/datasets/__init__.py").write_text("raise ImportError('not installed')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    assert "need the package datasets: run `pip install 'fmcycle[hub]'`" in refusal("hub:me/rows")
