import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import polars as pl
import pytest

from fmcycle.errors import InputError
from fmcycle.source.generate import Endpoint, Model
from fmcycle.source.reader import read
from fmcycle.source.synthetic import asked, most, synthetic
from fmcycle.stage import collect

PROMPT = "Ask and answer.\n\n{text}"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server that really answers: a small function behind the standard chat completions; it counts and may fail."""
    monkeypatch.setenv("FMCYCLE_CACHE", str(tmp_path / "cache"))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state["seen"].append(asked["messages"][0]["content"])
            text = asked["messages"][0]["content"].split("\n\n", 1)[1]
            answer = "I would rather not." if "silent" in text else f"Question: What has {len(text)} letters?\nAnswer: {text[:20]}"
            if state["fail"]:
                state["fail"] -= 1
                self.send_response(state["status"])
                self.end_headers()
                return
            body = json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    state = {"seen": [], "fail": 0, "status": 500}
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    state["generate"] = Endpoint(f"http://127.0.0.1:{running.server_port}/v1", "small-function")
    yield state
    running.shutdown()
    running.server_close()


@pytest.fixture
def seeds(tmp_path):
    """Ten documents, one of them made before, one that the model says nothing to."""
    rows = [{"id": f"d{n}", "text": f"Document number {n} of ten.", "group": f"g{n // 2}", "domain": "numbers"} for n in range(9)]
    rows += [{"id": "d9", "text": "The silent one."}, {"id": "made", "text": "Made by a model.", "origin": "synthetic"}]
    (tmp_path / "seeds.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(tmp_path / "seeds.jsonl")


def test_questions_come_with_their_provenance_and_a_second_run_asks_nobody(server, seeds, tmp_path):
    for out in ("one", "two"):
        synthetic(tmp_path / out / "made", seeds=seeds, generate=server["generate"], prompt=PROMPT, share=1.0, licence="CC0-1.0")
    assert len(server["seen"]) == 10
    assert (tmp_path / "one/made/instructions.parquet").read_bytes() == (tmp_path / "two/made/instructions.parquet").read_bytes()
    raw = pl.read_parquet(tmp_path / "one/made/instructions.parquet").sort("seed")
    assert raw["seed"].to_list() == [f"d{n}" for n in range(9)] and set(raw["model"]) == {"small-function"}
    assert raw["prompt"].n_unique() == 9 and all(time[:2] == "20" and len(time) == 25 for time in raw["time"])
    rows = read(tmp_path / "one").table("instructions").sort("id").to_dicts()
    assert [(row["id"], row["group"], row["document"], row["origin"], row["licence"]) for row in rows] == [
        (f"made/d{n}", f"g{n // 2}", f"d{n}", "synthetic", "CC0-1.0") for n in range(9)
    ]
    assert [turn["content"] for turn in rows[0]["messages"]] == ["What has 25 letters?", "Document number 0 of"]
    assert "9 instructions of 10 answers" in json.loads((tmp_path / "one/made/licence.json").read_text())["note"]


def test_paraphrases_are_documents_of_the_seed_s_group(server, seeds, tmp_path):
    synthetic(tmp_path / "out/made", seeds=seeds, generate=server["generate"], prompt=PROMPT, kind="documents", share=1.0)
    found = {row["id"]: row for row in read(tmp_path / "out").table("documents").to_dicts()}
    assert len(found) == 10 and found["made/d3"]["text"] == "Question: What has 25 letters?\nAnswer: Document number 3 of"
    assert {row["origin"] for row in found.values()} == {"synthetic"} and found["made/d3"]["time"]
    assert (found["made/d3"]["group"], found["made/d3"]["domain"]) == ("g1", "numbers")


def test_synthetic_rows_are_no_more_than_their_share_of_all_sources(server, seeds, tmp_path, capsys):
    real = [json.dumps({"text": f"Real text {n}."}) for n in range(8)] + [json.dumps({"text": "Made before.", "origin": "synthetic"})]
    (tmp_path / "out/real").mkdir(parents=True)
    (tmp_path / "out/real/rows.jsonl").write_text("\n".join(real))
    synthetic(tmp_path / "out/made", seeds=seeds, generate=server["generate"], prompt=PROMPT, kind="documents", share=0.3)
    origins = read(tmp_path / "out").table("documents")["origin"]
    assert (len(origins), (origins == "synthetic").sum()) == (11, 3) and len(server["seen"]) == 2
    assert "the limit of 30% beside 9 documents of all sources allows 2 of 10" in " ".join(capsys.readouterr().err.split())
    for rows, before, share in ((10, 0, 0.5), (7, 2, 0.3), (100, 25, 0.25), (9, 0, 0.1), (3, 0, 0.0)):
        count = most(rows, before, share)
        assert (before + count) / (count + rows) <= share + 1e-12 and (before + count + 1) / (count + 1 + rows) > share


def test_collect_makes_them_when_all_other_sources_are_there(server, seeds, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/rows.jsonl").write_text("\n".join(json.dumps({"text": f"Real text {n}."}) for n in range(6)))
    endpoint = {"_target_": "fmcycle.source.generate.Endpoint", "url": server["generate"].url, "model": "small-function"}
    common = {"seeds": seeds, "prompt": PROMPT, "kind": "documents", "share": 0.25, "generate": endpoint}
    made = {"_target_": "fmcycle.source.synthetic.synthetic", "_partial_": True, **common}
    mine = {"_target_": "fmcycle.source.local.local", "_partial_": True, "path": str(tmp_path / "texts")}
    collect.run(SimpleNamespace(inputs={}, out=str(tmp_path / "sources"), source={"a_made": made, "mine": mine}))
    assert read(tmp_path / "sources").table("documents")["origin"].to_list() == ["synthetic"] * 2 + ["unknown"] * 6


def test_a_server_that_stumbles_is_asked_again_and_one_that_refuses_is_not(server, tmp_path):
    server["fail"] = 2
    assert server["generate"]([PROMPT.replace("{text}", "Hello.")]) == ["Question: What has 6 letters?\nAnswer: Hello."]
    server["fail"], server["status"], before = 9, 404, len(server["seen"])
    with pytest.raises(InputError, match=r"small-function gave no answer \(HTTPError: HTTP Error 404"):
        server["generate"](["a\n\nb"])
    assert len(server["seen"]) == before + 1


def test_what_was_answered_before_a_kill_is_asked_no_more(server, tmp_path):
    asked(["a\n\nfirst"], server["generate"])
    (file,) = (tmp_path / "cache/synthetic").glob("*.jsonl")
    with open(file, "ab") as cut:
        cut.write(b'{"prompt": "half')
    found = asked(["a\n\nfirst", "a\n\nsecond"], server["generate"])
    assert [entry["answer"][-6:] for entry in found] == [" first", "second"] and len(server["seen"]) == 2
    assert asked(["a\n\nsecond"], server["generate"]) == found[1:] and len(server["seen"]) == 2


def test_a_model_of_ours_writes_the_same_twice_and_its_digest_is_its_name(tmp_path, seeds, monkeypatch):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from fmcycle.artifact import folder as artifact
    from fmcycle.model import store as model_store
    from fmcycle.processor.bpe import bpe

    monkeypatch.setenv("FMCYCLE_CACHE", str(tmp_path / "cache"))
    processor = bpe(["Document number one of the ten documents."] * 20, vocab_size=300)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64}
    model_store.save_model(LlamaForCausalLM(LlamaConfig(vocab_size=len(processor), **sizes)), processor, tmp_path / "model")
    generate = Model(str(tmp_path / "model"), max_tokens=12)
    assert generate.name == f"model@{artifact.digest(tmp_path / 'model')[:16]}"
    assert generate(["Say it."]) == generate(["Say it."]) != [""]
    end = processor.convert_tokens_to_ids("<|end|>")
    assert generate.ids(processor, "a<|end|>b").count(end) == 1, "a special token inside a prompt is text"
    assert generate(["Say it, and say why.", "Say it."])[1:] == generate(["Say it."])
    assert generate(["Say it. " * 50]) == generate(["Say it. " * 90]), "a prompt is cut at its end"
    cut = [Model(str(tmp_path / "model"), max_tokens=limit)(["Say it."])[0] for limit in range(1, 13)]
    assert not any(text.endswith("\ufffd") for text in cut), "the limit may lie inside a character"
    settings = generate.loaded[0].generation_config
    with monkeypatch.context() as changed:
        changed.setattr(settings, "eos_token_id", list(range(len(processor))))
        assert generate(["Say it."]) == [""], "what the model's own settings name ends an answer too"
    synthetic(tmp_path / "out/made", seeds=seeds, generate=generate, prompt="{text}", kind="documents", count=3, share=1.0)
    rows = pl.read_parquet(tmp_path / "out/made/documents.parquet")
    assert 0 < rows.height <= 3 and set(rows["model"]) == {generate.name} and set(rows["origin"]) == {"synthetic"}


def test_what_is_missing_is_named_with_its_key(server, seeds, tmp_path):
    for change, message in (
        ({"seeds": None}, r"inputs\.seeds=PATH"),
        ({"prompt": "no place"}, r"source\.made\.prompt"),
        ({"share": 0.5}, "share 0.5 allows none beside the 0 instructions of all sources"),
    ):
        with pytest.raises(InputError, match=message):
            synthetic(tmp_path / "out/made", **{"seeds": seeds, "generate": server["generate"], "prompt": PROMPT, **change})
    with pytest.raises(InputError, match=r"inputs\.generator=FOLDER"):
        Model(str(tmp_path / "nowhere"))
