"""Near duplicates by other programs: python near_duplicates.py PROGRAM FILE OUT; FILE is JSONL of id and text, OUT the ids that stay.

Word 5-grams, 16 bands of 6 minima everywhere; what shares a band with an earlier kept text goes, by each program's own code where it has
some for it.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

from measure import Meter

BANDS, ROWS = 16, 6
WORD = re.compile(r"[^\W_]+")


def documents(file: str) -> list[dict]:
    return [json.loads(line) for line in Path(file).read_text().rstrip("\n").split("\n")]


def shingles(text: str) -> list[str]:
    """Its 5-grams, as their users make them in Python."""
    words = WORD.findall(text.lower())
    return list({" ".join(words[start : start + 5]) for start in range(max(1, len(words) - 4))})


def rensa(meter: Meter, file: str) -> list[str]:
    """Sketches one by one and the library's index."""
    from rensa import RMinHash, RMinHashLSH

    meter.step(0)
    rows, kept = documents(file), []
    index = RMinHashLSH(0.8, BANDS * ROWS, BANDS)
    sketches = []
    for number, row in enumerate(rows):
        sketch = RMinHash(BANDS * ROWS, 42)
        sketch.update(shingles(row["text"]))
        sketches.append(sketch)
        if not any(sketch.jaccard(sketches[other]) >= 0.8 for other in index.query(sketch)):
            index.insert(number, sketch)
            kept.append(row["id"])
    return kept


def datasketch(meter: Meter, file: str) -> list[str]:
    """Its bulk sketches and its index."""
    from datasketch import MinHash, MinHashLSH

    meter.step(0)
    rows, kept = documents(file), []
    index = MinHashLSH(params=(BANDS, ROWS), num_perm=BANDS * ROWS)
    sketches = {}
    for row in rows:
        sketch = MinHash(num_perm=BANDS * ROWS, seed=42)
        sketch.update_batch([shingle.encode() for shingle in shingles(row["text"])])
        if not any(sketch.jaccard(sketches[other]) >= 0.8 for other in index.query(sketch)):
            index.insert(row["id"], sketch)
            sketches[row["id"]] = sketch
            kept.append(row["id"])
    return kept


def text_dedup(meter: Meter, file: str) -> list[str]:
    """Its own command, in this process."""
    import datasets
    from text_dedup import minhash

    meter.step(0)
    with tempfile.TemporaryDirectory() as folder:
        options = [
            "--path",
            "json",
            "--data_files",
            file,
            "--split",
            "train",
            "--cache_dir",
            f"{folder}/cache",
            "--output",
            f"{folder}/out",
        ]
        options += ["--column", "text", "--num_perm", str(BANDS * ROWS), "--b", str(BANDS), "--r", str(ROWS), "--ngram", "5"]
        options += ["--min_length", "1", "--hash_func", "xxh3", "--num_proc", "1", "--batch_size", "10000"]
        minhash.main(options, standalone_mode=False)
        return list(datasets.load_from_disk(f"{folder}/out")["id"])


def datatrove(meter: Meter, file: str) -> list[str]:
    """Its four steps, one task each a bucket."""
    import xxhash
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    digest = xxhash.xxh64_intdigest
    xxhash.xxh64_intdigest = lambda text: digest(text.encode())  # xxhash 4 takes no str, which datatrove 0.10.1 gives it
    meter.step(0)
    config = MinhashConfig(n_grams=5, num_buckets=BANDS, hashes_per_bucket=ROWS)
    with tempfile.TemporaryDirectory() as folder:
        reader = JsonlReader(str(Path(file).parent), glob_pattern=Path(file).name)
        signed, pairs, gone, out = (f"{folder}/{name}" for name in ("signed", "pairs", "gone", "out"))
        writer = JsonlWriter(out, compression=None)
        for steps, tasks in (
            ([reader, MinhashDedupSignature(signed, config=config)], 1),
            ([MinhashDedupBuckets(signed, pairs, config=config)], BANDS),
            ([MinhashDedupCluster(pairs, gone, config=config)], 1),
            ([reader, MinhashDedupFilter(gone), writer], 1),
        ):
            LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=f"{folder}/log{len(list(Path(folder).iterdir()))}").run()
        return [row["id"] for written in Path(out).iterdir() for row in documents(str(written))]


def main() -> None:
    name, file, out = sys.argv[1:]
    meter = Meter(warm=1)
    kept = {"rensa": rensa, "datasketch": datasketch, "text_dedup": text_dedup, "datatrove": datatrove}[name](meter, file)
    Path(out).write_text(json.dumps(kept))
    meter.step(sum(len(row["text"].encode()) for row in documents(file)))
    meter.report()


if __name__ == "__main__":
    main()
