"""Error rates of the judge behind `relevance_rate`, on held-out answers and on what is none: one JSON line each.

python benchmarks/relevance.py [CURATE] [SAMPLES]     default: artifacts/curate and artifacts/evaluate/samples.jsonl
"""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl

from fmcycle.evaluation import control
from fmcycle.evaluation.held_out import held_out
from fmcycle.evaluation.relevance import Judge, words

ASKED = 300  # held-out rows


def main(curate: str = "artifacts/curate", samples: str = "artifacts/evaluate/samples.jsonl") -> None:
    """Print the share of each kind of answer that the judge takes for readable, and for relevant."""
    random, folder = np.random.default_rng(0), Path(curate)
    train = held_out(str(folder / "instructions.parquet"), "train")
    rows = held_out(str(folder / "instructions.parquet"), "test", ASKED)
    prompts, true = [control.last_question(row) for row in rows], [control.answer(row) for row in rows]
    texts = [text for row in train for text in (control.answer(row), control.last_question(row))]
    safety = held_out(str(folder / "prompts.parquet"), None)
    judge, pool = Judge([*(row["text"] for row in safety), *texts], prompts), [word for text in true for word in words(text)]
    kinds = {
        "true answers": true,
        "answers to another prompt": [true[place] for place in random.permutation(len(true))],
        "words of the true answer, shuffled": [shuffled(text, random) for text in true],
        "twelve words of any answers": [" ".join(random.choice(pool, 12)) for _ in true],
        "the true answer four times": [f"{text} " * 4 for text in true],
        "nothing": [""] * len(true),
        "one refusal to all": ["I can't help with that."] * len(true),
    }
    for name, said in kinds.items():
        tell(name, judge, said, prompts)
    half, other = safety[::2], safety[1::2]
    apart = Judge([*(row["text"] for row in half), *texts], prompts)  # has not seen the texts of `other`
    for kind in sorted({row["kind"] for row in other}):
        real = [row["text"] for row in other if row["kind"] == kind]
        tell(f"{kind} prompts, as real texts", apart, real)
        tell(f"{kind} prompts, words shuffled", apart, [shuffled(text, random) for text in real])
    if Path(samples).is_file():
        told = [row for row in pl.read_ndjson(samples).to_dicts() if row["task"] != "preferred"]
        asked = [row["prompt"] for row in told]
        tell("answers of the model", Judge(texts, asked), [row["answer"] for row in told], asked)


def shuffled(text: str, random: np.random.Generator) -> str:
    """Return the words of a text in random order."""
    return " ".join(random.permutation(words(text)))


def tell(name: str, judge: Judge, said, prompts=None) -> None:
    """Print the shares as one JSON line."""
    readable = np.array([judge.readable(text) for text in said], dtype=bool)
    found = {"answers": name, "n": len(said), "readable": round(float(readable.mean()), 3)}
    if prompts is not None:
        found["relevant"] = round(float((readable & judge.related(said, prompts)).mean()), 3)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
