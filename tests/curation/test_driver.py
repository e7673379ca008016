"""Whatever the shards, workers and executor: the same bytes; killed at any point: the same bytes."""

import inspect
import json
import os
import pkgutil
import random
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.curation import driver, profile, shard_pass
from fmcycle.errors import InputError
from fmcycle.processor import media
from fmcycle.stage import curate
from fmcycle.tables import parquet


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Docstrings and sources of Python's library in three files, with copies, near copies, ids twice and lines that are no rows."""
    folder = tmp_path_factory.mktemp("data")
    texts = []
    for module in ["argparse", "asyncio", "collections", "datetime", "email", "json", "logging", "os", "pathlib", "string", "typing"]:
        found = pkgutil.resolve_name(module)
        for name in sorted(dir(found)):
            text = inspect.getdoc(getattr(found, name)) or ""
            texts.append({"id": f"{module}.{name}", "text": text or name, "group": module})
    texts += [row | {"text": row["text"] + " And one more word."} for row in texts[::9]]  # the ids again, other texts
    texts += [{"id": f"copy/{place}", "text": row["text"].upper(), "group": "copy"} for place, row in enumerate(texts[::7])]
    lines = [json.dumps(row) for row in texts]
    lines[10] = '{"text": "half'
    third = len(lines) // 3
    for place, name in enumerate(["a", "b"]):
        (folder / f"{name}.jsonl").write_text("\n".join(lines[place * third : (place + 1) * third]))
    pl.DataFrame([json.loads(line) for line in lines[2 * third :]]).write_parquet(folder / "c.parquet")
    talk = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "It is."}]
    (folder / "talk.jsonl").write_text(json.dumps({"messages": talk, "document": "os.abort"}))
    (folder / "bad.txt").write_bytes(b"\xff\xfe")
    return folder


def settings(root, data, folder, *, shard_mb=16.0, executor="local", workers=1, max_bad_rows=None):
    def load(name):
        return yaml.safe_load((root / "conf" / name).read_text())

    steps = {"curation": load("curation/web.yaml"), "conversation": load("curation/conversation.yaml")}
    return {
        "inputs": {"data": str(data)},
        "out": str(folder / "out"),
        "runs": str(folder / "runs"),
        "executor": load(f"executor/{executor}.yaml") | {"workers": workers, "shard_mb": shard_mb},
        **steps,
        "order": {name: list(some) for name, some in steps.items()},
        "split": load("stage/curate.yaml")["split"],
        "max_bad_rows": max_bad_rows,
        "source": {"map": None, "split": "theirs"},
    }


@pytest.fixture
def curated(root, data, tmp_path):
    """curated(name, ...) -> digest of the out folder."""

    def run(name, **how):
        curate.run(SimpleNamespace(**settings(root, data, tmp_path / name, **how)))
        assert not (tmp_path / name / "runs/shards").exists()
        return artifact.verify(tmp_path / name / "out")

    return run


def test_the_same_bytes_whatever_the_shards_and_the_workers(curated, data, tmp_path):
    whole = curated("whole")
    assert curated("shards", shard_mb=0.02) == whole
    assert curated("two", shard_mb=0.05, workers=2) == whole
    assert curated("four", shard_mb=0.011, workers=4) == whole
    out = tmp_path / "whole/out"
    profile = json.loads((out / "profile.json").read_text())
    assert profile["quarantined"] == 2 and profile["dropped"] > 20 and profile["kept"] > 20
    tables = pl.concat([pl.read_parquet(out / f"{name}.parquet").select("id", "text") for name in ("documents", "dropped")])
    assert profile["read"] == tables.height + 2 + profile["tables"]["instructions"]["rows"]
    assert tables["id"].n_unique() == tables.height and tables["id"].str.ends_with("~2").sum() > 10


def test_documents_stand_in_the_order_of_the_input(curated, data, tmp_path):
    curated("order", shard_mb=0.03)
    lines = [line for name in ("a", "b") for line in (data / f"{name}.jsonl").open() if line.endswith(("}", "}\n"))]
    wanted = [json.loads(line)["id"] for line in lines] + pl.read_parquet(data / "c.parquet")["id"].to_list()
    kept = pl.read_parquet(tmp_path / "order/out/documents.parquet")["id"].str.replace(r"~\d+$", "").to_list()
    places = iter(wanted)
    assert len(kept) > 300 and all(name in places for name in kept)  # each behind the one before it


@pytest.mark.prove
def test_the_same_bytes_on_a_ray_cluster(curated):
    assert curated("ray", shard_mb=0.05, executor="ray", workers=2) == curated("whole")
    import ray

    assert not ray.is_initialized()


CHILD = "import json, sys; from types import SimpleNamespace; from fmcycle.stage import curate; "
CHILD += "curate.run(SimpleNamespace(**json.load(open(sys.argv[1]))))"


@pytest.mark.parametrize(("number", "workers"), [(0, 1), (1, 2)])
def test_a_killed_job_goes_on_after_its_last_finished_shard(root, data, curated, tmp_path, monkeypatch, number, workers):
    folder, how = tmp_path / "killed", {"shard_mb": 0.01, "workers": workers}
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(settings(root, data, folder, **how)))
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "POLARS_MAX_THREADS": "1"}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder / "settings.json")], env=environment, stderr=subprocess.DEVNULL)
    done = folder / f"runs/shards/{number}"
    while child.poll() is None and len(list(done.glob("[0-9]*.json" if number else "??????.json"))) < 1:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL and not (folder / "out").exists()
    time.sleep(0.2)  # its workers end with it
    finished = {file.name for file in done.glob("*.json") if number or "-" not in file.name}
    name = "again" if number else "first"
    began, whole = [], getattr(shard_pass, name)

    def counted(work, step, item):
        if step.number == number:
            began.append(item["name"] if number else item[0])
        return whole(work, step, item)

    monkeypatch.setattr(shard_pass, name, counted)
    again = curated("killed", shard_mb=0.01)
    assert finished and began and not finished & {f"{label}.json" for label in began}
    assert again == curated("whole")


@pytest.mark.prove
def test_four_times_the_text_needs_little_more_memory(root, tmp_path):
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(20_000)]
    phrases = [" ".join(draw.choices(words, k=15)) + "." for _ in range(50_000)]
    earlier = "the first"

    def peak(name, megabytes):
        """Peak memory of a curation whose documents share phrases: every one is a candidate of many; one in ten is a copy."""
        nonlocal earlier
        (tmp_path / name / "data").mkdir(parents=True)
        with open(tmp_path / name / "data/a.jsonl", "w") as file:
            while file.tell() < megabytes * 1e6:
                text = earlier if draw.random() < 0.1 else " ".join(draw.choices(phrases, k=draw.randint(20, 60)))
                earlier = text if draw.random() < 0.1 else earlier
                file.write(json.dumps({"text": text}) + "\n")
        how = settings(root, tmp_path / name / "data", tmp_path / name, shard_mb=2)
        how["order"]["curation"] = ["normalize", "copies", "near_copies", "held"]
        how["curation"] = {step: how["curation"][step] for step in how["order"]["curation"]}
        (tmp_path / name / "settings.json").write_text(json.dumps(how))
        child = CHILD + "; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        environment = os.environ | {"PYTHONPATH": str(root / "src"), "POLARS_MAX_THREADS": "1"}
        command = [sys.executable, "-c", child, str(tmp_path / name / "settings.json")]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert json.loads((tmp_path / name / "out/profile.json").read_text())["kept"] > 100 * megabytes
        return int(found.stdout)

    large, small = peak("large", 100), peak("small", 25)
    assert large < 1.4 * small, f"{large} and {small} KB"  # the final row groups are full from 32 MB on


def test_other_shards_than_those_of_the_killed_job_are_made_anew(curated, root, data, tmp_path):
    whole = curated("whole")
    work = shard_pass.Work(tmp_path / "other/runs/shards", {}, None)
    (work.folder / "0").mkdir(parents=True)
    (work.folder / "plan.json").write_text('{"units": "of another cut"}')
    (work.folder / "0/000000.json").write_text("[]")
    assert curated("other") == whole


def test_too_many_bad_rows_end_the_stage_and_are_named(curated, tmp_path):
    with pytest.raises(InputError, match="max_bad_rows=1 can't be read, 2 so far") as error:
        curated("bad", max_bad_rows=1)
    file = tmp_path / "bad/runs/quarantine.jsonl"
    assert str(file) in str(error.value) and not (tmp_path / "bad/out").exists()
    assert {json.loads(line)["file"] for line in file.open()} == {"a.jsonl", "bad.txt"}
    curated("allowed", max_bad_rows=2)


def test_conversations_that_memory_cannot_hold_are_refused(curated, monkeypatch, tmp_path):
    monkeypatch.setattr("fmcycle.hardware.memory.free", lambda: 100)
    with pytest.raises(InputError, match=r"sorted and compared in memory: .* GB are free; name a part of them with inputs\.data"):
        curated("held")
    monkeypatch.undo()
    assert not (tmp_path / "held/out").exists() and curated("held") == curated("whole")


def test_a_step_that_loses_rows_is_refused(curated, monkeypatch):
    monkeypatch.setattr("fmcycle.curation.text.normalize", lambda frame: frame.head(3))
    with pytest.raises(ValueError, match=r"curation\.normalize: a step returns the rows that it got"):
        curated("lost")


def test_pictures_are_never_all_in_memory(root, tmp_path, monkeypatch):
    data = tmp_path / "data/images"
    data.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for name in range(20):
        (data / f"{name:02d}.png").write_bytes(media.as_png(noise.uniform(-1, 1, (3, 82, 82))))  # 20 kB
    rows = [{"file_name": f"{name:02d}.png", "id": f"id{name % 9}", "text": f"caption {name}"} for name in range(20)]
    (data / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    heights, sums = {}, profile.of_table
    monkeypatch.setattr(parquet, "BYTES", 50_000)
    for name, size in (("whole", 16.0), ("shards", 0.05)):
        heights[name] = []
        seen = heights[name]
        monkeypatch.setattr(profile, "of_table", lambda kind, frame, seen=seen: (seen.append((kind, frame.height)), sums(kind, frame))[1])
        curate.run(SimpleNamespace(**settings(root, data.parent, tmp_path / name, shard_mb=size)))
    assert [rows for kind, rows in heights["whole"] if kind == "examples"] == [20]
    assert max(rows for kind, rows in heights["shards"] if kind == "examples") == 3
    assert artifact.digest(tmp_path / "whole/out") == artifact.digest(tmp_path / "shards/out")
    found = pl.read_parquet(tmp_path / "shards/out/examples.parquet")
    assert found["text"].to_list() == [row["text"] for row in rows] and found["id"][9] == "id0~2" and found["id"].n_unique() == 20
    assert found["media"][7] == (data / "07.png").read_bytes() and set(found["split"]) <= {"train", "validation", "test"}
    assert json.loads((tmp_path / "shards/out/profile.json").read_text())["tables"]["examples"]["rows"] == 20


def test_row_groups_depend_on_rows_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BYTES", 1000)
    frame = pl.DataFrame({"id": [str(n) for n in range(300)], "text": ["word " * (n % 40) for n in range(300)]})
    digests = set()
    for size in (300, 1, 7, 64):
        file = tmp_path / f"{size}.parquet"
        assert parquet.write(frame.iter_slices(size), file) == 300
        digests.add(artifact.sha256(file))
        assert pl.read_parquet(file).equals(frame)
    assert len(digests) == 1


def test_an_empty_table_has_its_columns(tmp_path):
    empty = pl.DataFrame(schema={"id": pl.String, "text": pl.String})
    assert parquet.write([empty, empty], tmp_path / "t.parquet") == 0
    assert pl.read_parquet(tmp_path / "t.parquet").schema == empty.schema


def test_passes_are_cut_at_steps_over_the_corpus():
    steps = {"a": len, "b": SimpleNamespace(sketch=len), "c": SimpleNamespace(sketch=len), "d": len, "e": len}
    assert [(step.settled, step.mapped, step.sketched, step.last) for step in shard_pass.cut(steps)] == [
        (None, ("a",), "b", False),
        ("b", (), "c", False),
        ("c", ("d", "e"), None, True),
    ]
    assert [step.last for step in shard_pass.cut({})] == [False, True]


def test_small_files_share_a_shard():
    units = [SimpleNamespace(begin=0, end=size) for size in (1, 1, 9, 2, 10, 3)]
    assert [[unit.end for unit in some] for some in driver.together(units, 10)] == [[1, 1, 9], [2, 10], [3]]
