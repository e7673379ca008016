"""Near duplicates end to end against datatrove, text-dedup, datasketch and a plain rensa pipeline: planted copies found, and CPU time.

python benchmarks/duplicates.py FOLDER [MEGABYTES]: text files and JSONL (.gz) rows with `text` under FOLDER, cut into documents. Planted
beside them: copies with a few words changed whose 5-gram overlap is 0.8 or more, and texts whose words stand nowhere else, which have to
stay. All: word 5-grams, 16 bands of 6 minima; read one JSONL file, write the ids that stay. CPU seconds after the imports.
"""

import hashlib
import json
import random
import re
import sys
from pathlib import Path

from measure import ENVIRONMENTS, ROOT, Meter, compare, environment
from quality_rules import PACKAGES, texts

FILE = ENVIRONMENTS / "duplicates.jsonl"
DISJOINT = 300


def shingles(text: str) -> set[str]:
    found = re.findall(r"[^\W_]+", text.lower())
    return {" ".join(found[start : start + 5]) for start in range(max(1, len(found) - 4))}


def edited(text: str, chance: random.Random) -> str:
    """`text` with one to four of a hundred words changed."""
    words = text.split(" ")
    for place in chance.sample(range(len(words)), max(1, round(len(words) * chance.uniform(0, 0.03)))):
        words[place] = f"changed{chance.randrange(10**6)}"
    return " ".join(words)


def plant(folder: Path, megabytes: float) -> dict[str, int]:
    """Write FILE in an order by digest; {documents, planted}. A copy stands behind or before its original, as it falls."""
    chance, rows, size, planted = random.Random(0), [], 0, 0
    found = sorted(texts(folder), key=lambda row: hashlib.sha256(row[0].encode()).digest())
    for name, text in found:
        if size > megabytes * 1e6:
            break
        if not text.strip():
            continue
        rows.append({"id": name, "text": text})
        size += len(text.encode())
        if len(rows) % 10 == 0:
            copy = edited(text, chance)
            one, other = shingles(text), shingles(copy)
            if copy != text and len(one & other) >= 0.8 * len(one | other):
                rows.append({"id": f"{name}~planted", "text": copy})
                size, planted = size + len(copy.encode()), planted + 1
    for number in range(DISJOINT):
        own = "".join("abcdefghij"[int(digit)] for digit in str(number))  # letters: some programs take all digits for one
        words = (f"{own}z" + "".join("klmnopqrst"[int(digit)] for digit in str(place)) for place in range(300))
        rows.append({"id": f"disjoint/{number}", "text": " ".join(words)})
    rows.sort(key=lambda row: hashlib.sha256(row["id"].encode()).digest())
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"documents": len(rows), "planted": planted}


def ours(out: str) -> None:
    """Our step over FILE."""
    import polars as pl

    from fmcycle.curation.corpus_step import whole
    from fmcycle.curation.minhash import MinHash

    whole(MinHash(), pl.DataFrame({"id": ["a", "b"], "text": ["one two", "one two"]}))
    meter = Meter(warm=1)
    meter.step(0)
    frame = pl.read_ndjson(FILE)
    kept = whole(MinHash(), frame).filter(pl.col("reason").is_null())["id"].to_list()
    Path(out).write_text(json.dumps(kept))
    meter.step(int(frame["text"].str.len_bytes().sum()))
    meter.report()


def judge(out: str) -> dict[str, float]:
    """Of what a program left: the share of planted pairs that it parted, and what it dropped beside."""
    kept = set(json.loads(Path(out).read_text()))
    texts = {row["id"]: row["text"] for row in map(json.loads, FILE.read_text().rstrip("\n").split("\n"))}
    pairs = [(name.removesuffix("~planted"), name) for name in texts if name.endswith("~planted")]
    parted = sum(not (one in kept and other in kept) for one, other in pairs)
    gone = texts.keys() - kept
    return {
        "recall": round(parted / len(pairs), 4),
        "dropped": len(gone),
        "disjoint_dropped": sum(name.startswith("disjoint/") for name in gone),
        "both_of_a_pair_dropped": sum(one in gone and other in gone for one, other in pairs),
    }


def main(folder: str, megabytes: str = "6") -> None:
    """One JSON line a program, then what each found and how many times faster ours is."""
    print(json.dumps(plant(Path(folder), float(megabytes))), flush=True)
    out = {name: str(ENVIRONMENTS / f"duplicates_{name}.json") for name in ("fmcycle", "rensa", "datasketch", "text_dedup", "datatrove")}
    plain = environment("datasketch", "datasketch", "rensa", "polars", torch=False)
    dedup = environment("text-dedup", "text-dedup", torch=False)
    trove = environment("datatrove", *PACKAGES, torch=False)
    peer = "benchmarks/peers/near_duplicates.py"
    programs = {name: [python, peer, name, str(FILE), out[name]] for name, python in
                (("rensa", plain), ("datasketch", plain), ("text_dedup", dedup), ("datatrove", trove))}  # fmt: skip
    rows = compare({"fmcycle": [sys.executable, __file__, "--ours", out["fmcycle"]], **programs}, rounds=2)
    for name, file in out.items():
        times = rows["fmcycle"]["tokens_per_cpu_second"] / rows[name]["tokens_per_cpu_second"]
        rate = rows[name]["tokens_per_cpu_second"] / 1e6
        print(json.dumps({"name": name, "mb_per_cpu_second": round(rate, 2), "ours_times": round(times, 1)} | judge(file)), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    ours(sys.argv[2]) if sys.argv[1] == "--ours" else main(*sys.argv[1:])
