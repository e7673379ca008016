"""Reading JSONL: MB per CPU second of our reader, which checks every row, beside what reads without checking.

    python benchmarks/read.py                    # about a minute on one core

200 MB each of documents of 300, 1,000 and 3,000 characters, made of the texts of --data; one JSON line a size, best of three in turns.
`polars` is read_ndjson block by block, `json` the standard library line by line, as Python frameworks do; neither numbers rows, fills
columns or tells bad lines.
"""

import argparse
import io
import json
import tempfile
import time
from pathlib import Path

import polars as pl

from fmcycle.source import reader

SIZE = 200e6


def write(file: Path, texts: list[str], length: int) -> None:
    """Documents of `length` characters, cut out of all texts one after another, again and again."""
    whole = " ".join(texts)
    with open(file, "w") as out:
        number = place = 0
        while out.tell() < SIZE:
            row = {"id": f"d{number}", "text": whole[place : place + length], "source": "made", "url": f"http://a/{number}", "n": number}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            number, place = number + 1, (place + length) % (len(whole) - length)


def ours(folder: Path) -> int:
    return sum(part.read for unit in reader.units(folder) for part in reader.frames(unit))


def polars(folder: Path) -> int:
    rows = 0
    with open(folder / "a.jsonl", "rb") as file:
        while block := file.read(8 << 20):
            rows += pl.read_ndjson(io.BytesIO(block + file.readline())).height
    return rows


def standard(folder: Path) -> int:
    with open(folder / "a.jsonl", encoding="utf-8") as file:
        return len([json.loads(line)["text"] and None for line in file])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data")
    texts = reader.read(parser.parse_args().data).table("documents")["text"].to_list()
    for length in (300, 1000, 3000):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "a.jsonl"
            write(file, texts, length)
            best: dict[str, float] = {}
            counts = set()
            for _ in range(3):
                for name, read in (("fmcycle", ours), ("polars", polars), ("json", standard)):
                    began = time.process_time()
                    counts.add(read(Path(folder)))
                    best[name] = max(best.get(name, 0.0), file.stat().st_size / 1e6 / (time.process_time() - began))
            assert len(counts) == 1, counts
            print(json.dumps({"characters": length, "rows": counts.pop()} | {name: round(rate) for name, rate in best.items()}), flush=True)


if __name__ == "__main__":
    main()
