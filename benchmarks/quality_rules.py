"""Quality rules against datatrove's filters: the same thresholds, a verdict for every document compared, MB of text per CPU second.

python benchmarks/quality_rules.py FOLDER [MEGABYTES]: text files and JSONL (.gz) rows with `text` under FOLDER. datatrove runs twice:
splitting words and sentences as ours do, where every verdict has to be the same, and as it is, where they differ by its tokenizer (spaCy).
data-juicer has one filter with the same rule, the number of words: it stands against all of Gopher's rules on quality.
"""

import functools
import gzip
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from measure import ENVIRONMENTS, ROOT, Meter, compare, environment

PACKAGES = ("datatrove[io]==0.10.1", "nltk", "regex", "xxhash", "spacy", "ftfy", "tokenizers", "fasteners", "tldextract", "orjson", "numpy")
JUICER = ("py-data-juicer", "aiohttp", "ray", "msgpack")  # the last three it imports without asking for them
WORDS = 50, 100_000
FILE = ENVIRONMENTS / "quality_rules.jsonl"
SHARD = 8  # times the documents: ours take a shard at once; datatrove takes one after another, however many there are
PIECE = 4000  # characters: a text file is as many documents


def steps() -> dict:
    """Our rules with datatrove's thresholds, where its code departs from the papers."""
    from fmcycle.curation import quality, repetition

    ends = [".", "?", "!", '"', "'"]
    return {
        "gopher": functools.partial(quality.gopher, bullets="•-", any_case=False),
        "gopher_repetition": functools.partial(repetition.gopher_repetition, min_top_count=1),
        "c4": functools.partial(quality.c4, ends=ends),
        "fineweb": functools.partial(quality.fineweb, max_repeated_characters=0.01, closing_marks=False),
    }


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """(id, text) of every document."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SOURCE.txt"):
        name = file.relative_to(folder).as_posix()
        body = (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).decode("utf-8", "replace")
        if ".jsonl" in file.name:
            rows = [json.loads(line) for line in body.split("\n") if line.strip()]
            yield from ((f"{name}#{number}", row["text"]) for number, row in enumerate(rows) if isinstance(row.get("text"), str))
            continue
        part, number = "", 0
        for line in body.splitlines(keepends=True):
            part += line
            if len(part) >= PIECE:
                yield f"{name}#{number}", part
                part, number = "", number + 1
        if part.strip():
            yield f"{name}#{number}", part


def documents(folder: Path, megabytes: float) -> None:
    """Write FILE: normalised documents of `folder`, those whose id has the smallest digest, up to `megabytes`."""
    import polars as pl

    from fmcycle.curation.text import normalize

    frame = pl.DataFrame(list(texts(folder)), schema=["id", "text"], orient="row").with_columns(type=pl.lit("text"))
    gaps = pl.col("text").str.replace_all("\n{3,}", "\n\n")  # our rule counts a longer gap once, datatrove each of its lines
    frame = normalize(frame).with_columns(gaps).filter(pl.col("text") != "")
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in frame["id"]]
    frame = frame.with_columns(order=pl.Series(digests)).sort("order").drop("order")
    frame = frame.filter(pl.col("text").str.len_bytes().cum_sum() <= megabytes * 1e6)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    frame.write_ndjson(FILE)


def ours(verdicts: str, *names: str) -> None:
    """Our rules over FILE, or those of `names`."""
    import polars as pl

    frame = pl.read_ndjson(FILE)
    rules = {name: rule for name, rule in steps().items() if name in names or not names}
    for rule in rules.values():
        rule(frame.head(10))
    meter = Meter(warm=1)
    meter.step(0)
    shard = pl.concat([frame] * SHARD)
    judged = {name: rule(shard).head(frame.height) for name, rule in rules.items()}
    meter.step(int(shard["text"].str.len_bytes().sum()))
    meter.report()
    found = {name: [[row["reason"] is None, row["rule"], row["text"]] for row in kept.to_dicts()] for name, kept in judged.items()}
    Path(verdicts).write_text(json.dumps(found))


def differences(one: str, other: str) -> dict[str, dict]:
    """By rule: documents, verdicts that differ, and by what rules; for C4 also the kept texts that differ."""
    mine, theirs = (json.loads(Path(path).read_text()) for path in (one, other))
    found = {}
    for name, rows in mine.items():
        pairs = list(zip(rows, theirs[name], strict=True))
        unlike = [place for place, (a, b) in enumerate(pairs) if a[0] != b[0]]
        found[name] = {
            "documents": len(rows),
            "dropped": sum(not row[0] for row in rows),
            "differ": len(unlike),
            "by": dict(Counter(f"{rows[place][1]} | {theirs[name][place][1]}" for place in unlike).most_common(4)),
            "first": unlike[:3],
        }
        if name == "c4":
            found[name]["texts_differ"] = sum(a[0] and b[0] and a[2] != b[2] for a, b in pairs)
    return found


def juicer() -> None:
    """The number of words against data-juicer: one JSON line."""
    python = environment("data-juicer", *JUICER, torch=False)
    out = {name: str(ENVIRONMENTS / f"quality_rules_{name}.json") for name in ("gopher", "data_juicer")}
    peer = [python, "benchmarks/peers/data_juicer_words.py", str(FILE), out["data_juicer"], *map(str, WORDS)]
    rows = compare({"gopher": [sys.executable, __file__, "--ours", out["gopher"], "gopher"], "data_juicer": peer})
    counted = tuple(f"words {sign} {bound}" for sign, bound in zip("<>", WORDS, strict=True))
    mine = [row[1] not in counted for row in json.loads(Path(out["gopher"]).read_text())["gopher"]]
    theirs = json.loads(Path(out["data_juicer"]).read_text())
    ratio = rows["gopher"]["tokens_per_cpu_second"] / rows["data_juicer"]["tokens_per_cpu_second"]
    differ = sum(one != other for one, other in zip(mine, theirs, strict=True))
    print(json.dumps({"against": "data_juicer", "times": round(ratio, 1), "documents": len(mine), "differ": differ}), flush=True)


def main(folder: str, megabytes: str = "8") -> None:
    """Verdicts and speed, one JSON line each."""
    documents(Path(folder), float(megabytes))
    sys.path.insert(0, str(ROOT / "src"))
    from fmcycle.curation import word

    python = environment("datatrove", *PACKAGES, torch=False)
    same = {"words": word.WORD, "sentences": word.SENTENCE, "thresholds": {}}
    out = {name: str(ENVIRONMENTS / f"quality_rules_{name}.json") for name in ("fmcycle", "datatrove_same_words", "datatrove")}
    peer = [python, "benchmarks/peers/datatrove_rules.py", str(FILE)]
    rows = compare(
        {
            "fmcycle": [sys.executable, __file__, "--ours", out["fmcycle"]],
            "datatrove_same_words": [*peer, out["datatrove_same_words"], json.dumps(same)],
            "datatrove": [*peer, out["datatrove"], json.dumps({"thresholds": {}})],
        },
        rounds=1,
    )
    for name in ("datatrove_same_words", "datatrove"):
        print(json.dumps({"against": name} | differences(out["fmcycle"], out[name]), ensure_ascii=False), flush=True)
        ratio = rows["fmcycle"]["tokens_per_cpu_second"] / rows[name]["tokens_per_cpu_second"]
        print(
            json.dumps({"against": name, "times": round(ratio, 1), "mb_per_cpu_second": rows[name]["tokens_per_cpu_second"] / 1e6}),
            flush=True,
        )
    juicer()


if __name__ == "__main__":
    ours(*sys.argv[2:]) if sys.argv[1] == "--ours" else main(*sys.argv[1:])
