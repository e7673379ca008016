"""A tokenizer from text, and text to token shards on disk, by ours and by the tokenizers library: MB of text per CPU second.

python benchmarks/bpe.py FOLDER [MEGABYTES] [VOCABULARY]: text files and JSONL (.gz) rows with `text` under FOLDER. Tokenizers and
shards have to be the same.
"""

import filecmp
import json
import shutil
import sys
import time
from pathlib import Path

from measure import ENVIRONMENTS, ROOT, Meter, compare
from quality_rules import texts

FOLDER = ENVIRONMENTS / "bpe"


def prepare(folder: Path, megabytes: float, vocabulary: int) -> None:
    """Write the texts and the processor; print the speed of training."""
    import polars as pl

    from fmcycle.processor import bpe

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    found, size = [], 0
    for _, text in texts(folder):
        found.append(text)
        size += len(text.encode())
        if size >= megabytes * 1e6:
            break
    (FOLDER / "texts.json").write_text(json.dumps(found))
    rates, column = {}, pl.Series(found)
    for name in ("tokenizers", "fmcycle"):
        began = time.process_time()
        if name == "fmcycle":
            tokenizer = bpe.bpe(column, vocab_size=vocabulary).backend_tokenizer
        else:
            library = bpe.by_library(column, vocabulary, 2)
        rates[name] = size / 1e6 / (time.process_time() - began)
    same = json.loads(tokenizer.to_str())["model"] == json.loads(library.to_str())["model"]
    told = {f"{name}_mb": round(rate, 2) for name, rate in rates.items()} | {"times": round(rates["fmcycle"] / rates["tokenizers"], 1)}
    print(json.dumps({"name": "training", "megabytes": round(size / 1e6, 1), "same_tokenizer": same} | told), flush=True)
    bpe.bpe(column, vocab_size=vocabulary).save_pretrained(FOLDER / "processor")


def encode(name: str) -> None:
    """Shards of the texts under FOLDER/name."""
    from transformers import AutoTokenizer

    from fmcycle.data import token_shards
    from fmcycle.processor import encode

    processor = AutoTokenizer.from_pretrained(FOLDER / "processor")
    found = json.loads((FOLDER / "texts.json").read_text())
    run = {"fmcycle": encode.encoder, "tokenizers": encode.library}[name](processor)
    meter = Meter(warm=1)
    meter.step(0)

    def documents():
        for begin in range(0, len(found), 1000):
            ids, size = run(found[begin : begin + 1000])
            ends = size.cumsum()
            for place, (end, length) in enumerate(zip(ends, size, strict=True)):
                yield str(begin + place), ids[end - length : end]

    total = token_shards.write(FOLDER / name, documents(), vocab_size=len(processor))
    meter.step(sum(len(text.encode()) for text in found))
    meter.report(ids=total)


def main(folder: str, megabytes: str = "10", vocabulary: str = "8192") -> None:
    """Train, encode both ways in turns, compare the files."""
    prepare(Path(folder), float(megabytes), int(vocabulary))
    rows = compare({name: [sys.executable, __file__, "--encode", name] for name in ("fmcycle", "tokenizers")})
    names = sorted(file.name for file in (FOLDER / "tokenizers").iterdir())
    same = filecmp.cmpfiles(FOLDER / "tokenizers", FOLDER / "fmcycle", names, shallow=False)[0]
    rates = {name: row["tokens_per_cpu_second"] / 1e6 for name, row in rows.items()}
    times = round(rates["fmcycle"] / rates["tokenizers"], 1)
    print(
        json.dumps(
            {"times": times, "same_files": f"{len(same)} of {len(names)}"} | {f"{name}_mb": round(rate, 2) for name, rate in rates.items()}
        )
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    encode(sys.argv[2]) if sys.argv[1] == "--encode" else main(*sys.argv[1:])
