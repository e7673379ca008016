import inspect
import itertools
import random
import re
from pathlib import Path

import polars as pl
import pytest

from fmcycle.curation.corpus_step import whole
from fmcycle.curation.minhash import Contained, MinHash

SHARED = Path(__file__).parents[2].parent / "shared/data/text"


def documents(texts):
    return pl.DataFrame({"id": [f"{number:04}" for number in range(len(texts))], "text": pl.Series(list(texts), dtype=pl.String)})


def kept(judged):
    return judged.filter(pl.col("reason").is_null()).select("id", "text")


def docstrings():
    """Real texts: the documentation of Python's own types and modules, among them many near-copies."""
    import collections
    import decimal
    import fractions
    import pathlib

    kinds = (str, bytes, bytearray, int, float, dict, set, frozenset)
    kinds += (collections.OrderedDict, decimal.Decimal, fractions.Fraction, pathlib.Path)
    found = (inspect.getdoc(getattr(kind, name)) for kind in kinds for name in sorted(dir(kind)))
    return list(dict.fromkeys(text for text in found if text and len(text) > 80))


def invented(count, length, seed):
    """Disjoint texts: every word stands in one of them only."""
    chance = random.Random(seed)
    return [" ".join(f"w{text}x{chance.randrange(length)}" for _ in range(length)) for text in range(count)]


def jaccard(one, other, size=5):
    def of(text):
        found = re.findall(r"\w+", text.lower().replace("_", " "))
        return {tuple(found[start : start + size]) for start in range(max(1, len(found) - size + 1))}

    a, b = of(one), of(other)
    return len(a & b) / len(a | b)


def test_a_planted_near_copy_goes_and_names_what_stays():
    text = "The operation puts a message into the queue of the account and returns its digest, so that the caller can check what came. " * 3
    near = " ".join([*text.split()[:-1], "arrived."])
    judged = whole(MinHash(), documents([text, "Something else entirely, about graphs and their nodes.", near]))
    assert judged["value"].to_list() == [None, None, "0000"]
    assert judged["reason"][2] == "near duplicate"


def test_planted_near_copies_are_found_and_disjoint_texts_stay():
    chance = random.Random(1)
    texts = invented(400, 200, seed=0)
    for text in texts[:200]:  # at an overlap of 0.83 to 0.95
        copy = text.split()
        for place in chance.sample(range(0, 200, 12), chance.randint(1, 3)):
            copy[place] = "changed"
        texts.append(" ".join(copy))
    judged = whole(MinHash(), documents(texts))
    gone = judged.filter(pl.col("reason").is_not_null())
    assert gone["id"].to_list() == [f"{number:04}" for number in range(400, 600) if gone["id"].is_in([f"{number:04}"]).any()]
    assert gone.height >= 0.95 * sum(jaccard(texts[number], texts[number - 400]) >= 0.8 for number in range(400, 600)) >= 150


def test_deduplication_twice_removes_nothing_more():
    frame = documents(docstrings() + [text.replace("the", "a", 1) for text in docstrings()])
    once = kept(whole(MinHash(), frame))
    assert 0 < once.height < frame.height
    assert kept(whole(MinHash(), once)).equals(once)


def test_what_goes_is_near_and_what_stays_is_not():
    frame = documents(docstrings() + [text.replace("the", "a", 1) for text in docstrings()])
    judged = whole(MinHash(threshold=0.8), frame)
    text = dict(frame.select("id", "text").iter_rows())
    gone = judged.filter(pl.col("reason").is_not_null())
    assert gone.height > 50
    assert min(jaccard(text[row["id"]], text[row["value"]]) for row in gone.to_dicts()) >= 0.8
    stays = kept(judged)["text"].to_list()
    assert max(jaccard(one, other) for one, other in itertools.combinations(stays[:250], 2)) < 0.8


@pytest.mark.parametrize("step", [MinHash(), Contained(min_words=10, every=1)])
def test_how_rows_are_cut_changes_nothing(step):
    frame = documents(docstrings()[:150]).with_row_index("row").with_columns(pl.col("row").cast(pl.UInt64) * 3)
    lines = [step.sketch(part) for part in (*frame.iter_slices(7), frame.head(0))]
    order = ["row", "part", "key"]
    assert pl.concat(lines).sort(order).equals(step.sketch(frame).sort(order))


def test_how_many_are_compared_at_a_time_changes_nothing(monkeypatch):
    frame = documents(docstrings())
    judged = whole(MinHash(threshold=0.5), frame)
    monkeypatch.setattr("fmcycle.curation.minhash.COMPARED", 3)
    assert whole(MinHash(threshold=0.5), frame).equals(judged) and judged["reason"].count() > 10


def test_a_chapter_goes_and_its_book_stays():
    chapters = invented(20, 120, seed=3)
    own = f"{chapters[7]} and something of its own behind it"
    changed = f"alone {chapters[0].replace('x1', 'q')}"
    judged = whole(Contained(min_words=50, every=4), documents([chapters[3], "\n\n".join(chapters), own, changed]))
    assert judged["value"].to_list() == ["0001", None, "0001", None]
    assert judged["reason"][0] == "held by another document"


def test_of_equal_texts_the_first_stays_and_short_ones_are_left_alone():
    text = invented(1, 60, seed=5)[0]
    assert whole(Contained(min_words=50, every=1), documents([text, text, text]))["value"].to_list() == [None, "0000", "0000"]
    assert whole(Contained(min_words=100, every=1), documents([text, text]))["value"].null_count() == 2


def test_languages_without_blanks_have_words_too():
    text = "全ての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられている。"
    judged = whole(MinHash(), documents([text, text.replace("良心", "心"), "互いに同胞の精神をもって行動しなければならない。"]))
    assert judged["value"].to_list() == [None, "0000", None]


@pytest.mark.parametrize("step", [MinHash(), Contained()])
def test_short_and_few_texts_are_no_problem(step):
    assert whole(step, documents(["a", "b", "a b", "!", "!", ""]))["reason"].null_count() == 6
    assert whole(step, documents([])).height == 0
    assert whole(MinHash(), documents(["a", "b", "a b", "A!"]))["value"].to_list() == [None, None, None, "0000"]


def test_pages_of_one_template_are_no_copies_once_they_are_text():
    from fmcycle.curation.html import main_text

    menu = "".join(f'<tr><td width="94" bgcolor="#eeeeee"><a href="/{name}.html">{name}</a></td></tr>' for name in invented(150, 1, seed=6))
    stories = [" ".join(f"<p>{text[:80]}.</p>" for text in docstrings()[start : start + 9]) for start in (0, 9)]
    page = "<html><body><nav><table>{}</table></nav><article><h1>News</h1>{}</article></body></html>"
    frame = documents([page.format(menu, story) for story in stories]).with_columns(type=pl.lit("html"))
    found = whole(MinHash(), frame)["reason"].to_list(), whole(MinHash(), main_text(frame).select(frame.columns))["reason"].to_list()
    assert found == ([None, "near duplicate"], [None, None])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the books of ../shared/data/text are not on this machine")
def test_the_same_works_of_two_sources_are_found():
    import gzip
    import json

    def lines(name):
        content = (SHARED / name).read_bytes()
        content = gzip.decompress(content) if name.endswith(".gz") else content
        rows = [json.loads(line) for line in content.decode().rstrip("\n").split("\n")]
        return {f"{name}#{number}": row["text"] for number, row in enumerate(rows)}

    texts = {
        name: (SHARED / name).read_text() for name in ("gutenberg-nltk17/melville-moby_dick.txt", "genesis-multilingual/english-kjv.txt")
    }
    texts["kjv"] = gzip.decompress((SHARED / "kjv-bible/kjv.txt.gz").read_bytes()).decode()
    texts |= lines("moby-dick/moby_dick.jsonl") | lines("sotu-1790-2021/sotu.jsonl.gz")
    speeches = sorted((SHARED / "us-speeches").glob("state_union__19[5-9]*.txt"))
    texts |= {file.name: file.read_text(encoding="utf-8", errors="replace") for file in speeches}
    frame = pl.DataFrame({"id": list(texts), "text": list(texts.values())})
    near = whole(MinHash(), frame)
    held = whole(Contained(), kept(near))
    gone = pl.concat([found.filter(pl.col("reason").is_not_null()).select("id", "value") for found in (near, held)])
    found = dict(gone.iter_rows())
    assert found["genesis-multilingual/english-kjv.txt"] == "kjv"
    chapters = [name for name in texts if name.startswith("moby") and len(texts[name].split()) >= 600]
    held_by_the_book = sum(found.get(name, "").endswith("melville-moby_dick.txt") for name in chapters)
    assert len(chapters) > 110 and held_by_the_book >= len(chapters) - 2, [name for name in chapters if name not in found]
    both = sum(name.startswith(("state_union", "sotu")) for name in found)
    assert both >= 0.8 * len(speeches) and "kjv" not in found


@pytest.mark.parametrize(
    "texts",
    [
        ["1 + 2 - 3", "1 + 2 + 3", "1 * 2 - 3", "1 × 2 - 3"],
        ["it was -5 °C", "it was 5 °C", "it was +5 °C"],
        ["it costs $5", "it costs €5", "it costs 5%", "it costs 5"],
        ["is x < y true", "is x > y true", "is x != y true", "is x + y true", "is x < y < true"],
        ["written in C", "written in C++", "written in C#"],
        ["see (>5)", "see (<5)", "see (5)"],
    ],
)
def test_a_sign_that_changes_what_is_said_makes_another_text(texts):
    pad = " ".join(f"word{number}" for number in range(200))
    found = whole(MinHash(), pl.DataFrame({"id": texts, "text": [f"{pad} {text} here" for text in texts]}))
    assert found["value"].null_count() == len(texts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("so - it was", "so, it was"),
        ("5 − 3", "5 - 3"),
        ("*bold* (aside) #tag", "bold, aside: tag"),
        ("said\n> quoted", "said\nquoted"),
        ("5 %", "5%"),
    ],
)
def test_a_sign_that_says_nothing_makes_a_copy(one, other):
    pad = " ".join(f"word{number}" for number in range(200))
    assert whole(MinHash(), pl.DataFrame({"id": ["a", "b"], "text": [f"{pad} {one} here", f"{pad} {other} here"]}))["value"].to_list() == [
        None,
        "a",
    ]


def test_the_same_words_with_other_signs_or_another_label_are_no_copy():
    pad, tail, more = (" ".join(f"{word}{number}" for number in range(200)) for word in ("word", "tail", "more"))
    sums = [f"{pad} and then what is 12 {sign} 4 {sign} 3" for sign in ("+", "-", "*", "/", "<=", "+")]
    code = [f"def keep(rows, low):\n    return [row for row in rows if row {sign} low and row]  # {tail}" for sign in ("<", ">", "<=", "<")]
    prose = [f"{more} - and then, so be it!", f"{more} \u2013 and then so be it"]
    frame = pl.DataFrame(
        {
            "id": [str(number) for number in range(14)],
            "text": [*sums, *code, *prose, prose[0], prose[0]],
            "type": ["text"] * 6 + ["code"] * 4 + ["text"] * 4,
            "label": [""] * 12 + ["good", "bad"],
        }
    )
    assert whole(MinHash(), frame)["value"].to_list() == [*[None] * 5, "0", *[None] * 3, "6", None, "10", "10", "10"]
    long = frame.head(10).with_columns(text=pl.concat_str(pl.col("text").repeat_by(4).list.join("\n")))
    assert whole(Contained(), long)["value"].to_list() == [*[None] * 5, "0", *[None] * 3, "6"]


@pytest.mark.parametrize("step", [MinHash(), Contained()])
def test_code_with_another_indentation_is_no_copy_unless_only_the_width_differs_or_braces_say_the_same(step):
    tail = "# " + " ".join(f"word{number}" for number in range(700))
    python = "def total(rows):\n    for row in rows:\n        found = row\n{}    return found\n" + tail
    inner, outer, wide = python.format("    "), python.format(""), python.format("    ").replace("    ", "\t\t")
    braced = "int total(int row) {{\n  if (row) {{\n{}    row = 1; }}\n  return row; }}\n// " + tail.replace("word", "brace")
    frame = pl.DataFrame(
        {
            "id": ["inner", "outer", "wide", "c", "c2", "unknown"],
            "text": [inner, outer, wide, braced.format(""), braced.format("    "), outer.replace("found", "other").replace("word", "tail")],
            "type": "code",
            "domain": ["python"] * 3 + ["C"] * 2 + [None],
        }
    )
    assert whole(step, frame)["value"].to_list() == [None, None, "inner", None, "c", None]
