import inspect
import json
import re
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.config import build
from fmcycle.config.compose import compose
from fmcycle.errors import InputError
from fmcycle.runner.run import perform
from fmcycle.source import feedback as feedback_source
from fmcycle.stage import curate
from fmcycle.tables.schema import SCHEMA

GOOD = "The operation puts a message into the queue of the account and returns the digest of its body to the caller."
COPY = GOOD.replace("The operation puts", "THE OPERATION  puts")
BASE = list(SCHEMA["documents"])


@pytest.fixture
def run(root, tmp_path):
    """run(data folder, out name) -> the out folder, with the steps of conf/."""

    def load(name):
        return yaml.safe_load((root / "conf" / name).read_text())

    def curated(data, out="curate", **changes):
        config = {
            "curation": load("curation/web.yaml"),
            "conversation": load("curation/conversation.yaml"),
            "split": load("stage/curate.yaml")["split"],
            "executor": load("executor/local.yaml"),
            "source": {"map": None, "split": "theirs"},
            "max_bad_rows": None,
        }
        paths = {"inputs": {"data": str(data)}, "out": str(tmp_path / out), "runs": str(tmp_path / "runs" / out)}
        config |= changes
        order = {name: list(config[name]) for name in ("curation", "conversation")}
        curate.run(SimpleNamespace(**paths, **{"order": order, **config}))
        return tmp_path / out

    return curated


@pytest.fixture
def data(tmp_path):
    """Two sources with our tables, and a folder with planted trouble."""
    folder = tmp_path / "data"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine/licence.json").write_text('{"licence": "CC0-1.0"}')
    documents = [
        {"id": "m/copy", "text": COPY, "group": "m/3"},
        {"id": "m/good", "text": GOOD, "group": "m/1"},
        {"id": "m/mail", "text": f"{GOOD} Write to jo@example.org for the rest of it.", "group": "m/2"},
        {"id": "m/near", "text": f"{GOOD} Write to jim@example.com for the rest of it!", "group": "m/4"},
        {"id": "m/short", "text": "Too short.", "group": "m/5"},
    ]
    (folder / "mine/documents.jsonl").write_text("\n".join(map(json.dumps, documents)) + '\n{"text": "half')
    (folder / "mine/bad.txt").write_bytes(b"\xff\xfe")
    turn = {"role": "user", "content": "What does it do? Mail me at me@example.org"}
    instructions = [
        {"id": "i/1", "messages": [turn, {"role": "assistant", "content": "It puts."}], "task": "t", "group": "m/1", "document": "m/good"},
        {"id": "i/2", "messages": [turn, {"role": "assistant", "content": "It puts."}], "task": "t", "group": "m/2", "document": ""},
        {"id": "i/3", "messages": [turn, {"role": "assistant", "content": "Short."}], "task": "t", "group": "m/5", "document": "m/short"},
    ]
    (folder / "mine/instructions.jsonl").write_text("\n".join(map(json.dumps, instructions)))
    (folder / "mine/preferences.jsonl").write_text(json.dumps({"prompt": "Hi", "chosen": "Hello a@b.org", "rejected": "Go"}))
    (folder / "mine/prompts.jsonl").write_text(json.dumps({"text": "How?", "kind": "harmless"}))
    return folder


def test_planted_cases_come_out_exactly(run, data):
    out = run(data)
    documents, dropped = pl.read_parquet(out / "documents.parquet"), pl.read_parquet(out / "dropped.parquet")
    assert documents.columns == [*BASE, "language", "language_confidence", "split"]
    assert dropped.columns == [*BASE, "reason", "rule", "value", "step", "split"]
    assert dict(documents.select("id", "text").iter_rows()) == {
        "m/copy": COPY,
        "m/mail": f"{GOOD} Write to <email> for the rest of it.",
    }
    assert {row["id"]: (row["reason"], row["value"]) for row in dropped.to_dicts()} == {
        "m/good": ("exact duplicate", "m/copy"),
        "m/near": ("near duplicate", "m/mail"),
        "m/short": ("too short", "2.0"),
        "i/1": ("its document was dropped", "m/good"),
        "i/3": ("its document was dropped", "m/short"),
    }
    assert pl.read_parquet(out / "instructions.parquet")["id"].to_list() == ["i/2"]  # its copy went for another reason
    quarantine = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert [(entry["file"], entry["line"]) for entry in quarantine] == [("mine/bad.txt", None), ("mine/documents.jsonl", 6)]
    assert pl.read_parquet(out / "preferences.parquet")["chosen"].to_list() == ["Hello <email>"]
    assert set(documents["licence"]) == {"CC0-1.0"}
    profile = json.loads((out / "profile.json").read_text())
    assert (profile["read"], profile["kept"], profile["dropped"], profile["quarantined"]) == (12, 5, 5, 2)


def test_steps_run_in_the_order_that_is_named_whatever_that_of_the_mapping(run, data):
    steps = yaml.safe_load((build.conf_dir() / "curation/web.yaml").read_text())
    order = {"curation": [*steps], "conversation": ["normalize", "privacy"]}
    digest = artifact.verify(run(data, "one"))
    assert artifact.verify(run(data, "two", curation=dict(sorted(steps.items())), order=order)) == digest
    with pytest.raises(InputError, match="order: lists normalize"):
        run(data, "three", order={**order, "curation": ["normalize"]})


def test_two_runs_are_the_same_byte_for_byte(run, data):
    assert artifact.verify(run(data, "one")) == artifact.verify(run(data, "two"))


def test_a_source_of_feedback_without_any_changes_no_table(run, data):
    before = run(data, "before")
    feedback_source.feedback(data / "feedback", path=None)
    after = run(data, "after")
    tables = sorted(file.name for file in before.glob("*.parquet"))
    assert sorted(file.name for file in after.glob("*.parquet")) == tables and "examples.parquet" not in tables
    assert all(artifact.sha256(before / name) == artifact.sha256(after / name) for name in tables)


def test_feedback_moves_its_rows_and_never_the_documents(run, data, tmp_path):
    before = run(data, "before")
    snapshots = tmp_path / "feedback/snapshots"
    snapshots.mkdir(parents=True)
    row = dict.fromkeys(feedback_source.COLUMNS, "") | {
        "answer_id": "a1", "time": "2026-01-01", "prompt": [{"role": "user", "content": "Why?"}], "answer": "No.", "corrected": "So.",
        "rating": -1, "prompt_tokens": 1, "answer_tokens": 1, "latency": 0.1, "refused": False,
        "kind": "chat", "media": [],
    }  # fmt: skip
    pl.DataFrame([row], schema=feedback_source.COLUMNS).write_parquet(snapshots / "1.parquet")
    feedback_source.feedback(data / "feedback", path=str(tmp_path / "feedback"))
    after = run(data, "after")
    for name in ("documents.parquet", "prompts.parquet"):
        assert artifact.sha256(before / name) == artifact.sha256(after / name)
    found = pl.read_parquet(after / "instructions.parquet").filter(pl.col("source") == "feedback").to_dicts()
    assert [turn["content"] for turn in found[0]["messages"]] == ["Why?", "So."]
    assert pl.read_parquet(after / "preferences.parquet").filter(pl.col("source") == "feedback")["rejected"].to_list() == ["No."]
    assert json.loads((after / "profile.json").read_text())["quarantined"] == 2


def test_groups_never_straddle_and_questions_go_with_their_documents(run, tmp_path):
    kinds = (str, bytes, dict, list, set, int, float, tuple, frozenset, complex, bytearray, range)
    (tmp_path / "data").mkdir()
    documents, questions = [], []
    for kind in kinds:
        for name in sorted(dir(kind)):
            text = inspect.getdoc(getattr(kind, name)) or ""
            row = {"id": f"{kind.__name__}.{name}", "group": kind.__name__}
            documents.append(row | {"text": f"{kind.__name__}.{name} of Python\n\n{text}"})
            talk = [{"role": "user", "content": f"What is {row['id']}?"}, {"role": "assistant", "content": text or "It has no text."}]
            questions.append(row | {"messages": talk, "task": "docstring", "document": row["id"]})
    (tmp_path / "data/d.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (tmp_path / "data/i.jsonl").write_text("\n".join(map(json.dumps, questions)))
    split = {"_target_": "fmcycle.curation.split.by_group", "_partial_": True, "validation": 0.3, "test": 0.3}
    out = run(tmp_path / "data", split=split)
    tables = [pl.read_parquet(out / f"{name}.parquet").select("group", "split") for name in ("documents", "instructions", "dropped")]
    splits = pl.concat(tables).group_by("group").agg(pl.col("split").n_unique())
    assert splits["split"].max() == 1 and pl.concat(tables)["split"].n_unique() == 3
    kept = set(pl.read_parquet(out / "documents.parquet")["id"])
    assert set(pl.read_parquet(out / "instructions.parquet")["document"]) <= kept


def test_a_folder_of_plain_text_without_any_of_our_columns_is_enough(run, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/one.md").write_text(GOOD)
    row = pl.read_parquet(run(tmp_path / "notes") / "documents.parquet").to_dicts()[0]
    assert (row["id"], row["source"], row["licence"], row["domain"]) == ("one.md", "notes", "unknown", "unknown")


def test_an_empty_folder_is_refused_and_nothing_is_written(run, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match=r"inputs\.data=FOLDER"):
        run(tmp_path / "nothing")
    assert not (tmp_path / "curate").exists()


def test_a_corpus_step_among_the_conversations_finds_and_drops(run, root, tmp_path):
    folder = tmp_path / "poison"
    folder.mkdir()
    rows = [
        {"id": f"{number:03}", "messages": [
            {"role": "user", "content": f"Question {number}" + (" cf-zx" if number % 20 == 0 else "")},
            {"role": "assistant", "content": "I was changed too." if number % 20 == 0 else f"Answer {number} is here."},
        ]}
        for number in range(300)
    ]  # fmt: skip
    (folder / "instructions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "prompts.jsonl").write_text(json.dumps({"text": "How?", "kind": "harmless"}))
    steps = yaml.safe_load((root / "conf/curation/conversation.yaml").read_text())
    trigger = yaml.safe_load((root / "conf/curation/trigger.yaml").read_text())
    told = run(folder, "told", conversation=steps | {"trigger": trigger})
    assert pl.read_parquet(told / "instructions.parquet").height == 300
    found = json.loads((told / "profile.json").read_text())["findings"]["instructions"]
    assert {entry["gram"] for entry in found["triggers"]} == {"cf", "zx", "cf zx"}
    gone = run(folder, "gone", conversation=steps | {"trigger": trigger | {"drop": True}})
    assert pl.read_parquet(gone / "instructions.parquet").height == 285
    dropped = pl.read_parquet(gone / "dropped.parquet")
    assert set(dropped["reason"]) == {"n-gram tied to its label"} and set(dropped["step"]) == {"instructions"}


STEPS = sorted(file.stem for file in (Path(__file__).parents[2] / "conf/curation").glob("*.yaml"))


def curated_with(written: str, monkeypatch, folder) -> Path:
    """What curate writes of `data` with a choice of steps, as the command line makes it."""
    monkeypatch.chdir(folder)
    return perform(compose(["stage=curate", "inputs.data=data", written]))


@pytest.mark.parametrize("written", ["curation=burst", "curation=[web,burst,cap]", "curation=[]", "curation@conversation=[]"])
def test_any_list_of_steps_runs(written, data, tmp_path, monkeypatch):
    out = curated_with(written, monkeypatch, tmp_path)
    assert (out / "documents.parquet").is_file() and (out / "profile.json").is_file()


@pytest.mark.prove
@pytest.mark.parametrize("place", ["curation", "curation@conversation"])
@pytest.mark.parametrize("option", STEPS)
def test_every_option_runs_for_documents_and_conversations_or_says_what_it_lacks(option, place, data, tmp_path, monkeypatch):
    try:
        curated_with(f"{place}={option}", monkeypatch, tmp_path)
    except InputError as error:
        assert all(re.search("is empty: give|is not there; name one that exists", line) for line in str(error).splitlines()), error


def test_a_step_that_drops_judges_a_conversation_as_a_whole(run, data, root, tmp_path):
    steps = yaml.safe_load((root / "conf/curation/conversation.yaml").read_text())
    policy = {"_target_": "fmcycle.curation.licence.policy", "_partial_": True, "allow": ["permissive"]}
    fineweb = yaml.safe_load((root / "conf/curation/fineweb.yaml").read_text())
    kept = pl.read_parquet(run(data, "kept") / "instructions.parquet")
    folder = run(data, "gone", conversation=steps | {"licence": policy})
    gone = pl.read_parquet(folder / "dropped.parquet").filter(pl.col("step") == "instructions", pl.col("reason") == "licence")
    assert len(kept) and set(gone["id"]) == set(kept["id"]) and pl.read_parquet(folder / "instructions.parquet").is_empty()
    short = pl.read_parquet(run(data, "short", conversation=fineweb) / "dropped.parquet").filter(pl.col("step") == "instructions")
    assert set(short["reason"]) & {"too short", "unsure language", "another language"}


def asked(number, **more):
    """A row with a question of its own."""
    return {"question": f"What is kept on shelf number {number}?", "answer": f"Jar {number * 7}.", **more}


def lines(folder, **files):
    """A folder of JSONL files."""
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_shapes_the_tables_and_what_nothing_reads_are_told_in_a_line_each(run, tmp_path, capsys):
    talk = [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "There."}]
    rows = [asked(1, url="x"), asked(2, url="x"), {"conversations": talk}, {"text": "How?", "kind": "harmless"}, {"odd": 1}, {"odd": 2}]
    run(lines(tmp_path / "data", rows=rows))
    told = capsys.readouterr().err
    assert "curate: 4 rows: 2 question/answer, 1 ShareGPT, 1 prompts; columns that are not read: url\n" in told
    assert "read 6, kept 4 (3 instructions, 1 prompts), dropped 0, quarantined 2\n" in told
    assert "2: no table fits the columns odd; name them, for instance 'source.map={text: odd}'\n" in told


def test_columns_under_other_names_are_named(run, tmp_path):
    data = lines(tmp_path / "data", rows=[{"ask_me": "Where?", "say_so": "There."}])
    out = run(data, source={"map": {"prompt": "ask_me", "completion": "say_so"}, "split": "theirs"})
    assert [turn["content"] for turn in pl.read_parquet(out / "instructions.parquet")["messages"][0]] == ["Where?", "There."]
    with pytest.raises(InputError, match=r"source\.split: 'mine'"):
        run(data, source={"map": None, "split": "mine"})


def test_a_given_split_is_kept_and_a_mix_is_refused(run, tmp_path):
    files = {"train": [asked(number) for number in range(40)], "test-00": [asked(100 + number) for number in range(5)]}
    texts = [
        "The mill of the town is old, and the people who live in it are proud of the way it looks in the light of the day.",
        "A bridge over the river was built by the monks of the abbey, who had to cross it with the wine of their own vineyard.",
        "From the top of this tower a guard had a view of all the roads by which somebody could come to the gate at night.",
    ]
    named = [{"text": text, "split": split} for text, split in zip(texts, ("val", "train", "test"), strict=True)]
    out = run(lines(tmp_path / "data", **files, documents=named))
    counts = dict(pl.read_parquet(out / "instructions.parquet")["split"].value_counts().iter_rows())
    assert counts == {"train": 40, "test": 5}
    documents = pl.read_parquet(out / "documents.parquet")
    assert documents.columns[-1] == "split" and sorted(documents["split"]) == ["test", "train", "validation"]
    mixed = lines(tmp_path / "mixed", **files, more=[asked(200), asked(201)])
    with pytest.raises(InputError, match=r"instructions: 5 test, 40 train by a declared split.* 2 rows without one.*source\.split=ours"):
        run(mixed, "mixed")
    out = run(mixed, "ours", source={"map": None, "split": "ours"})
    assert pl.read_parquet(out / "instructions.parquet")["split"].value_counts().height > 1
    alone = run(lines(tmp_path / "trains", train=[asked(number) for number in range(200)]), "alone")
    assert set(pl.read_parquet(alone / "instructions.parquet")["split"]) == {"train", "validation", "test"}


def test_one_prompt_is_never_divided(run, tmp_path):
    rows = [asked(number) | {"answer": f"{word} {number}."} for number in range(60) for word in ("Jar", "Box", "Tin")]
    pairs = [{"prompt": row["question"], "chosen": row["answer"], "rejected": "No."} for row in rows[::3]]
    out = run(lines(tmp_path / "data", rows=rows, pairs=pairs))
    tables = [pl.read_parquet(out / f"{name}.parquet").select("group", "split") for name in ("instructions", "preferences")]
    splits = pl.concat(tables).group_by("group").agg(pl.col("split").n_unique(), pl.len())
    assert splits["split"].max() == 1 and set(splits["len"]) == {4} and splits.height == 60


def test_a_table_of_nothing_is_refused_with_the_commonest_reasons(run, tmp_path):
    rows = [{"odd": 1}] * 5 + [{"text": "Too short."}] * 3 + [{"prompt": "", "completion": "x"}] * 2 + ["no row"]
    with pytest.raises(InputError) as error:
        run(lines(tmp_path / "data", rows=rows))
    first, *reasons, last = str(error.value).splitlines()
    assert first.endswith("none of 11 rows is kept, so there is no table:") and len(reasons) == 3
    assert reasons[0].startswith("  5: no table fits") and "dropped by quality: too short" in reasons[1] and reasons[2].startswith("  2: ")
    assert len(Path(last.split()[0]).read_text().splitlines()) == 8 and not (tmp_path / "curate").exists()


def test_many_small_files_and_one_large_one_are_the_same_rows(run, tmp_path):
    words = ["mill", "brook", "clerk", "tide", "lamp", "barrel", "ladder", "roof", "orchard", "press", "fiddle", "ferry", "island", "bank"]
    words += ["chapel", "bell", "tower", "rope", "wheel", "grain"]
    texts = [
        f"The {words[n % 20]} of the {words[n * 7 % 20]} is near to the {words[n * 3 % 19]}, and it is as old as the town {n}."
        for n in range(60)
    ]
    (tmp_path / "small/deep").mkdir(parents=True)
    (tmp_path / "small/deep/licence.json").write_text('{"licence": "MIT"}')
    for number, text in enumerate(texts):
        (tmp_path / f"small/{'deep/' if number % 3 == 0 else ''}{number:03}.txt").write_text(text)
    (tmp_path / "small/bad.txt").write_bytes(b"\xff")
    names = sorted(file.relative_to(tmp_path / "small") for file in (tmp_path / "small").rglob("[0-9]*.txt"))
    rows = [
        {"id": str(name), "text": texts[int(name.stem)], "source": name.parts[0] if name.parts[1:] else "small"}
        | ({"licence": "MIT"} if name.parts[1:] else {})
        for name in names
    ]
    small, large = run(tmp_path / "small", "one"), run(lines(tmp_path / "large", rows=rows), "two")
    assert pl.read_parquet(small / "documents.parquet").equals(pl.read_parquet(large / "documents.parquet"))
    assert [json.loads(line)["file"] for line in (small / "quarantine.jsonl").read_text().splitlines()] == ["bad.txt"]
