import json
import random

import polars as pl

from fmcycle.curation.profile import EXAMPLES, clusters, finish, merge, of_shard, of_table

ROWS = 200


def documents():
    draw = random.Random(0)
    texts = [" ".join(draw.choices(["tide", "gull", "sand", "salt"], k=draw.randint(1, 60))) for _ in range(ROWS)]
    frame = pl.DataFrame({"id": [f"d/{n}" for n in range(ROWS)], "text": texts})
    return frame.with_columns(
        domain=pl.Series([f"domain {n % 3}" for n in range(ROWS)]),
        source=pl.lit("s"),
        licence=pl.lit("MIT"),
        language=pl.Series(["en", None] * (ROWS // 2)),
        quality=pl.Series([n / ROWS for n in range(ROWS)]),
        split=pl.lit("train"),
    )


def judged(frame):
    """Drops what is under ten words, rewrites every gull, and counts them."""
    short = pl.col("text").str.count_matches(r"\S+") < 10
    return frame.with_columns(
        reason=pl.when(short).then(pl.lit("too short")),
        rule=pl.when(short).then(pl.lit("words < 10")),
        value=pl.when(short).then(pl.lit("9")),
        text=pl.col("text").str.replace_all("gull", "<bird>"),
    ).with_columns(pl.col("text").str.count_matches("<bird>").alias("count:bird"))


def sums(frame, size):
    parts = []
    for before in frame.iter_slices(size):
        after = judged(before)
        kept = after.filter(pl.col("reason").is_null())
        parts += [of_shard("birds", before, after), of_table("documents", kept)]
    return parts


def profile(parts):
    found = finish(merge(parts), steps=["birds"], read=ROWS + 1, quarantine=[{"file": "x", "line": 1, "reason": "binary"}], quarantined=1)
    return json.dumps(found)


def test_the_profile_does_not_depend_on_shards_nor_on_their_order():
    frame = documents()
    whole = profile(sums(frame, ROWS))
    for size in (1, 7, 64):
        parts = sums(frame, size)
        random.Random(size).shuffle(parts)
        assert profile(parts) == whole
        half = len(parts) // 2
        assert profile([merge(parts[:half]), json.loads(json.dumps(merge(parts[half:])))]) == whole


def test_the_sums_are_what_was_there():
    frame = documents()
    after = judged(frame)
    found = json.loads(profile(sums(frame, 9)))
    short = after.filter(pl.col("reason").is_not_null())
    kept = after.filter(pl.col("reason").is_null())
    assert found["read"] == found["kept"] + found["dropped"] + found["quarantined"]
    assert found["flow"] == [
        {
            "step": "birds",
            "before": ROWS,
            "after": kept.height,
            "dropped": short.height,
            "changed": kept["text"].str.contains("<bird>").sum(),
            "bytes_before": frame["text"].str.len_bytes().sum(),
            "bytes_after": kept["text"].str.len_bytes().sum(),
            "bytes_dropped": short["text"].str.len_bytes().sum(),
        }
    ]
    assert found["counts"] == {"birds": {"bird": frame["text"].str.count_matches("gull").sum()}}
    assert sum(entry["rows"] for entry in found["reasons"]) == short.height
    assert sum(entry["rows"] for entry in found["scores"]["quality"]) == kept.height
    assert {entry["name"] for entry in found["shares"]["language"]} == {"en", ""}
    assert len(found["kept_examples"]) == 3 * EXAMPLES and len(found["dropped_examples"]) == EXAMPLES


def test_no_rows_make_a_profile_too():
    frame = documents().clear()
    found = finish(
        merge([of_shard("birds", frame, judged(frame)), of_table("documents", frame)]),
        steps=["birds"],
        read=0,
        quarantine=[],
        quarantined=0,
    )
    assert (found["kept"], found["dropped"], found["flow"][0]["after"]) == (0, 0, 0)


def test_clusters_are_of_steps_that_name_what_stayed():
    copies = [("near", "a", 4), ("near", "b", 1), ("exact", "b", 1), ("quality", "9.0", 3)]
    dropped = pl.DataFrame([(step, value) for step, value, times in copies for _ in range(times)], schema=["step", "value"], orient="row")
    found = clusters(dropped, iter([pl.Series(["a", "x"]), pl.Series(["b"])]))
    largest = [{"stays": "a", "copies": 4}, {"stays": "b", "copies": 1}]
    assert found["near"] == {"clusters": 2, "clusters by documents": {"2 to 3": 1, "4 to 7": 1}, "largest clusters": largest}
    assert set(found) == {"near", "exact"} and clusters(dropped, iter([])) == {}
