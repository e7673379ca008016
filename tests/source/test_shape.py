import csv
import io
import json

import polars as pl
import pyarrow as pa
import pytest

from fmcycle.errors import InputError
from fmcycle.source.given_split import place_of, place_of_file
from fmcycle.source.reader import frames, read, units
from fmcycle.source.shape import chosen

Q, A, NO = "Why is the kiln cold on Mondays?", "Nobody fires it on a Sunday.", "It is blue."
ASKED, TOLD, DENIED = ({"role": role, "content": text} for role, text in (("user", Q), ("assistant", A), ("assistant", NO)))
HUMAN, GPT = {"from": "human", "value": Q}, {"from": "gpt", "value": A}
RULES = {"role": "system", "content": "Answer as a potter."}

TALKS = {  # shape: rows that all say the same
    "Alpaca": [{"instruction": Q, "input": "", "output": A}, {"Instruction": Q, "Output": A},
        {"instruction": Q, "response": A, "category": "x"}],
    "ShareGPT": [{"conversations": [HUMAN, GPT]}, {"conversation": [HUMAN, GPT], "id": 7}],
    "prompt/completion": [
        {"prompt": Q, "completion": A}, {"prompt": Q, "response": A}, {"prompt": [ASKED], "completion": [TOLD]},
        {"Prompt": Q, "Completion": A},
    ],
    "question/answer": [{"question": Q, "answer": A}, {"question": Q, "answers": {"text": [A, A], "answer_start": [0, 0]}},
        {"question": Q, "answers": [A]}],
    "query/response": [{"query": Q, "response": A}],
    "input/output": [{"input": Q, "output": A}],
    "messages": [
        {"messages": [ASKED, TOLD]}, {"messages": json.dumps([ASKED, TOLD])}, {"conversations": [ASKED, TOLD]},
        {"messages": [ASKED | {"content": [{"type": "text", "text": Q}]}, TOLD | {"content": [{"type": "text", "text": A}]}]},
        {"contents": [{"role": "user", "parts": [{"text": Q}]}, {"role": "model", "parts": [{"text": A}]}]}, {"chat": [ASKED, TOLD]},
        {"messages": [{"speaker": "user", "text": Q}, {"speaker": "assistant", "text": A}]},
        {"messages": [ASKED | {"name": "jo"}, TOLD | {"weight": 1, "tool_calls": None}], "prompt": Q, "tools": [], "source": "kiln"},
        {"messages": [ASKED, TOLD], "tools": "[]"},
    ],
    "KTO": [{"prompt": Q, "completion": A, "label": True}, {"prompt": [ASKED], "completion": [TOLD], "label": 1},
        {"prompt": Q, "completion": A, "kto_tag": True}, {"prompt": Q, "completion": A, "label": "desirable"}],
}  # fmt: skip
PAIRS = {
    "preferences": [
        {"prompt": Q, "chosen": A, "rejected": NO}, {"prompt": Q, "chosen_response": A, "rejected_response": NO},
        {"question": Q, "chosen": A, "rejected": NO},
        {"instruction": Q, "input": "", "chosen": A, "rejected": NO},
        {"chosen": [ASKED, TOLD], "rejected": [ASKED, DENIED]}, {"prompt": [ASKED], "chosen": [TOLD], "rejected": [DENIED]},
        {"prompt": Q, "chosen": [ASKED, TOLD], "rejected": [ASKED, DENIED], "messages": [ASKED, TOLD], "score_chosen": 4.5},
        {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": NO}},
        {"input": {"messages": [ASKED], "tools": [], "parallel_tool_calls": True},
         "preferred_output": [TOLD], "non_preferred_output": [DENIED]},
    ],
    "HH": [{"chosen": f"\n\nHuman: {Q}\n\nAssistant: {A}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: {NO}"}],
}  # fmt: skip


def of(tmp_path, rows, name="rows.jsonl"):
    """What a file of these rows is read as."""
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read(folder)


def alone(tmp_path, row, table="instructions"):
    """One row, read."""
    reading = of(tmp_path, [row])
    assert reading.quarantine == []
    return reading.table(table).to_dicts()[0]


def why(tmp_path, row):
    """The reason why a row is none."""
    reading = of(tmp_path, [row])
    assert reading.read == len(reading.quarantine) == 1
    return reading.quarantine[0]["reason"]


@pytest.mark.parametrize(("shape", "row"), [(shape, row) for shape, rows in TALKS.items() for row in rows])
def test_a_question_and_its_answer_in_any_shape_are_the_same_row(tmp_path, shape, row):
    reading = of(tmp_path, [row])
    assert reading.quarantine == [] and dict(reading.shapes) == {shape: 1}
    found = reading.table("instructions").to_dicts()[0]
    assert found["messages"] == [ASKED, TOLD] and found["masked"] is None


@pytest.mark.parametrize(("shape", "row"), [(shape, row) for shape, rows in PAIRS.items() for row in rows])
def test_a_preference_in_any_shape_is_the_same_row(tmp_path, shape, row):
    reading = of(tmp_path, [row])
    assert reading.quarantine == [] and dict(reading.shapes) == {shape: 1}
    found = reading.table("preferences").to_dicts()[0]
    assert (found["prompt"], found["chosen"], found["rejected"]) == ([ASKED], A, NO)


def test_one_prompt_is_one_group_whatever_the_shape_and_the_file(tmp_path):
    rows = [row for rows in (*TALKS.values(), *PAIRS.values()) for row in rows]
    reading = of(tmp_path, [*rows, {"text": Q.upper(), "kind": "harmless"}, {"prompt": "Another?", "completion": A}])
    groups = [set(reading.table(name)["group"]) for name in ("instructions", "preferences", "prompts")]
    assert len(groups[0]) == 2 and groups[1] == groups[2] < groups[0]
    assert alone(tmp_path, {"prompt": Q, "completion": A, "group": "mine"})["group"] == "mine"


def test_the_same_rows_are_the_same_in_every_form_of_file(tmp_path):
    rows = [{"Question": Q, "Answer": A, "licence": "MIT"}, {"Question": "So, what?", "Answer": 'It "is".', "licence": "MIT"}]
    talks = [{"id": str(place), "messages": json.dumps([ASKED, TOLD])} for place in range(2)]
    for number, kind in enumerate((rows, talks)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kind))
        (folder / "b.json").write_text(json.dumps(kind))
        pl.DataFrame(kind).write_parquet(folder / "c.parquet")
        lines = io.StringIO()
        table = csv.DictWriter(lines, [*kind[0]])
        table.writeheader()
        table.writerows(kind)
        (folder / "d.csv").write_text(lines.getvalue())
        reading = read(folder)
        assert reading.quarantine == []
        found = reading.table("instructions")
        assert found.height == 8 and found["messages"].n_unique() == (2 if kind is rows else 1)
        assert set(found["licence"]) == ({"MIT"} if kind is rows else {"unknown"})


def test_rules_and_context_of_a_row_stand_before_its_question(tmp_path):
    for name in ("system", "system_prompt", "systemPrompt", "System Instruction", "sys_prompt", "preamble"):
        for value in (
            RULES["content"],
            [RULES["content"]],
            [{"type": "text", "text": RULES["content"]}],
            {"parts": [{"text": RULES["content"]}]},
        ):
            assert alone(tmp_path, {name: value, "prompt": Q, "completion": A})["messages"] == [RULES, ASKED, TOLD]
            assert alone(tmp_path, {name: value, "messages": [ASKED, TOLD]})["messages"] == [RULES, ASKED, TOLD]
    row = {"system": RULES["content"], "prompt": Q, "chosen": A, "rejected": NO}
    assert alone(tmp_path, row, "preferences")["prompt"] == [RULES, ASKED]
    row = {"system": "Be brief.", "messages": [RULES | {"role": "developer"}, ASKED, TOLD]}
    assert alone(tmp_path, row)["messages"][0] == {"role": "system", "content": "Be brief.\n\nAnswer as a potter."}
    for name, value in (("contexts", ["The kiln", "of 1912."]), ("documents", '["The kiln", "of 1912."]')):
        assert alone(tmp_path, {"question": Q, name: value, "answer": A})["messages"][0]["content"] == f"{Q}\n\nThe kiln\n\nof 1912."
    for name in ("input", "context", "passage", "article", "story", "evidence"):
        assert (
            alone(tmp_path, {"instruction": Q, name: "The kiln of 1912.", "output": A})["messages"][0]["content"]
            == f"{Q}\n\nThe kiln of 1912."
        )
    before = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Yes?"}]
    row = {"instruction": Q, "output": A, "history": [["Hello?", "Yes?"]]}
    assert alone(tmp_path, row)["messages"] == [*before, ASKED, TOLD]


def test_a_text_made_of_the_columns_is_no_document_and_a_text_of_its_own_is_told(tmp_path):
    row = {"instruction": Q, "input": "1912", "output": A, "text": f"### Instruction:\n{Q}\n### Response:\n{A}"}
    assert alone(tmp_path, row)["messages"][0]["content"] == f"{Q}\n\n1912"
    assert why(tmp_path, row | {"text": "A passage that the question is about."}).startswith("text changes what the row means")


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"prompt": Q, "completion": A, "images": ["a.png"]}, "images"),
        ({"question": Q, "choices": ["a", "b"], "answer": 1}, "choices"),
        ({"messages": [ASKED, TOLD], "question": "Another question?"}, "question"),
        ({"problem": Q, "solution": A, "answer": "7"}, "answer"),
        ({"messages": [ASKED, TOLD], "weight": 0.2}, "weight"),
        ({"messages": [ASKED | {"images": ["a.png"]}, TOLD]}, "images"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, TOLD]}, "image_url"),
        ({"messages": [ASKED, TOLD | {"weight": 0.5}]}, "weight 0.5"),
        ({"messages": [ASKED, TOLD | {"weight": 0}]}, "none of its answers is trained on"),
        ({"prompt": Q, "completion": A, "label": False}, "label marks the answer as unwanted"),
        ({"messages": [ASKED, TOLD], "kto_tag": False}, "label marks the answer as unwanted"),
        ({"prompt": Q, "completion": A, "label": "undesirable"}, "label marks the answer as unwanted"),
        ({"messages": [ASKED, TOLD | {"train_on_turn": False}]}, "none of its answers is trained on"),
        ({"prompt": Q, "completion": A, "thumbs_up": False}, "label marks the answer as unwanted"),
        ({"prompt": Q, "chosen": A, "rejected": ""}, "rejected is empty"),
        ({"prompt": Q, "chosen": None, "rejected": NO}, "chosen is empty"),
        ({"messages": [ASKED, TOLD], "instructions": "Answer as a potter."}, "instructions"),
        ({"messages": [ASKED, TOLD], "documents": ["The kiln of 1912."]}, "documents"),
        ({"messages": [ASKED, TOLD], "loss_mask": [0, 1]}, "loss_mask"),
        ({"prompt": Q, "completion": A, "persona": "a potter"}, "persona"),
        ({"question": Q, "context": {"title": ["Kilns"], "sentences": [["Old."]]}, "answer": A}, "context is not text"),
        ({"messages": [ASKED, TOLD], "system": {"name": "potter"}}, "system is not text"),
        ({"prompt": Q, "completion": A, "split": "somewhere"}, "somewhere"),
        ({"question": Q, "answers": ["one", "two"]}, "answers"),
        ({"chosen": A, "rejected": NO}, "no prompt"),
        ({"chosen": [ASKED, TOLD, ASKED, TOLD], "rejected": [ASKED, DENIED]}, "differ in more"),
        ({"messages": [{"role": "narrator", "content": Q}, TOLD]}, "message 1: role 'narrator'"),
        ({"messages": [ASKED, {"role": "assistant", "content": ""}]}, "message 2: the assistant's message is empty"),
        ({"prompt": Q, "completion": A, "licence": {"name": "MIT"}}, "licence"),
    ],
)
def test_what_would_change_a_row_is_told_by_its_name(tmp_path, row, named):
    assert named in why(tmp_path, row)


def test_harmless_columns_are_counted_and_their_rows_stay(tmp_path):
    text = {"text": "A text.", "url": "y", "content": "z", "id": {"a": 1}}
    reading = of(tmp_path, [{"prompt": Q, "completion": A, "url": "x", "score": 3}, text])
    assert dict(reading.unread) == {"url": 2, "score": 1, "content": 1, "id (dict)": 1} and reading.quarantine == []
    assert reading.table("documents")["id"].to_list() == ["rows.jsonl#2"]


def test_a_caption_in_content_is_read_beside_a_column_in_another_case(tmp_path):
    pl.DataFrame({"content": ["A kiln."], "Media": [b"png"]}).write_parquet(tmp_path / "rows.parquet")
    assert read(tmp_path).table("examples")["text"].to_list() == ["A kiln."]


def test_the_refusal_shows_the_columns_and_a_map_that_repairs_it(tmp_path):
    assert "the columns ask_me, say_so; name them, for instance 'source.map={prompt: ask_me, completion: say_so}'" in why(
        tmp_path, {"ask_me": Q, "say_so": A}
    )
    for row, map in (
        ({"frage": Q, "winner": A, "loser": NO}, "{prompt: frage, chosen: winner, rejected: loser}"),
        ({"worse": NO, "better": A, "task": Q, "id": "7"}, "{prompt: task, chosen: better, rejected: worse}"),
        ({"passage_of_mine": A}, "{text: passage_of_mine}"),
        ({"id": "7", "document": Q, "summary": A}, "{prompt: document, completion: summary}"),
    ):
        assert why(tmp_path, row).endswith(f"'source.map={map}'")
    of(tmp_path, [{"ask_me": Q, "say_so": A}])
    pieces = frames(*units(tmp_path / "data", map=chosen({"prompt": "ask_me", "completion": "say_so"})))
    assert next(pieces).tables["instructions"]["messages"].to_list() == [[ASKED, TOLD]]
    for wrong in ({"prompts": "ask_me"}, {"prompt": 7}):
        with pytest.raises(InputError, match=r"source\.map: prompt"):
            chosen(wrong)


def test_a_split_is_kept_wherever_it_stands(tmp_path):
    for row, split in (("train_sft", "train"), ("TEST", "test"), ("dev", "validation"), ("test-00000-of-00002", "test"), ("holdout", None)):
        assert place_of(row) == split
    assert place_of_file("data/validation/part.jsonl") == "validation" and place_of_file("latest.csv") is None
    for name, rows in {"train-00000-of-00001.parquet": 3, "test-00000-of-00001.parquet": 2}.items():
        pl.DataFrame({"question": [Q] * rows, "answer": [A] * rows}).write_parquet(tmp_path / name)
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation/rows.csv").write_text(f"question,answer,partition\n{Q},{A},\n{Q},{A},test\n")
    assert sorted(read(tmp_path).table("instructions")["split"]) == ["test"] * 3 + ["train"] * 3 + ["validation"]
    (piece, *_) = frames(*units(tmp_path, split=False))
    assert set(piece.tables["instructions"]["split"]) == {""}
    assert place_of_file("train.jsonl") and set(
        of(tmp_path / "validation", [TALKS["Alpaca"][0]], "train.jsonl").table("instructions")["split"]
    ) == {""}


def test_a_folder_that_datasets_saved_is_read_with_its_splits(tmp_path):
    for split, rows in (("train", 3), ("test", 1)):
        folder = tmp_path / "saved" / split
        folder.mkdir(parents=True)
        table = pa.table({"prompt": [Q] * rows, "completion": [A] * rows})
        with pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        (folder / "state.json").write_text('{"_fingerprint": "x"}')
        (folder / "dataset_info.json").write_text('{"citation": ""}')
    (tmp_path / "saved/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    reading = read(tmp_path / "saved")
    assert reading.quarantine == [] and sorted(reading.table("instructions")["split"]) == ["test", "train", "train", "train"]


def test_our_own_tables_come_back_as_they_are(tmp_path):
    row = {"messages": [ASKED, DENIED | {"weight": 0}, ASKED, TOLD], "id": "a", "task": "kiln", "document": "d", "split": "test"}
    first = of(tmp_path, [row])
    first.table("instructions").write_parquet(tmp_path / "again.parquet")
    assert read(tmp_path / "again.parquet").table("instructions").to_dicts() == first.table("instructions").to_dicts()
