"""Reading: MB per CPU second of our reader, which checks every row, beside what reads without checking.

    python benchmarks/read.py                    # about a minute on one core
    python benchmarks/read.py --only files       # many small files alone

200 MB each of documents of 300, 1,000 and 3,000 characters, made of the texts of --data; one JSON line a size, best of three in turns.
`polars` is read_ndjson block by block, `json` the standard library line by line, as Python frameworks do; neither numbers rows, fills
columns or tells bad lines.

The last line reads 100,000 texts of 1,000 characters, each a file: CPU seconds of our reader (`files`), of a loop that opens and reads each
file without a check (`loop`), and of our reader on the same texts as one JSONL (`jsonl`); `ratio` is files / (loop + jsonl).
"""

import argparse
import io
import json
import os
import tempfile
import time
from pathlib import Path

import polars as pl

from fmcycle.source import reader

SIZE = 200e6
FILES = 100_000


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
    return sum(part.read for part in reader.frames(*reader.units(folder)))


def polars(folder: Path) -> int:
    rows = 0
    with open(folder / "a.jsonl", "rb") as file:
        while block := file.read(8 << 20):
            rows += pl.read_ndjson(io.BytesIO(block + file.readline())).height
    return rows


def standard(folder: Path) -> int:
    with open(folder / "a.jsonl", encoding="utf-8") as file:
        return len([json.loads(line)["text"] and None for line in file])


def loop(folder: Path) -> int:
    for place in os.scandir(folder):
        with open(place, "rb") as file:
            file.read()
    return len(os.listdir(folder))


def small_files(texts: list[str]) -> dict:
    """CPU seconds of many small files beside the least that they can cost; best of three in turns."""
    whole = " ".join(texts)
    pieces = [whole[place : place + 1000] for place in (number * 997 % (len(whole) - 1000) for number in range(FILES))]
    with tempfile.TemporaryDirectory() as folder:
        many, one = Path(folder) / "many", Path(folder) / "one"
        many.mkdir(), one.mkdir()
        for number, piece in enumerate(pieces):
            (many / f"{number}.txt").write_text(piece)
        (one / "rows.jsonl").write_text("".join(json.dumps({"text": piece}, ensure_ascii=False) + "\n" for piece in pieces))
        best: dict[str, float] = {}
        for _ in range(3):
            for name, read, where in (("files", ours, many), ("loop", loop, many), ("jsonl", ours, one)):
                began = time.process_time()
                assert read(where) == FILES
                best[name] = min(best.get(name, 1e9), time.process_time() - began)
    ratio = best["files"] / (best["loop"] + best["jsonl"])
    return {"files of 1,000 characters": FILES} | {name: round(cpu, 2) for name, cpu in best.items()} | {"ratio": round(ratio, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data")
    parser.add_argument("--only", choices=("jsonl", "files"))
    given = parser.parse_args()
    texts = reader.read(given.data).table("documents")["text"].to_list()
    for length in (300, 1000, 3000) if given.only != "files" else ():
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
    if given.only != "jsonl":
        print(json.dumps(small_files(texts)), flush=True)


if __name__ == "__main__":
    main()
