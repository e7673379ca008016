import gzip
import inspect
import json
import unicodedata
from pathlib import Path

import polars as pl
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from fmcycle.curation.language import classify, identify, keep

TEXTS = {
    "en": "The queue holds the messages of a service until the service reads them.",
    "de": "Die Warteschlange hält die Nachrichten eines Dienstes, bis der Dienst sie liest.",
    "fr": "La file garde les messages d'un service jusqu'à ce que le service les lise.",
    "ru": "Очередь хранит сообщения службы, пока служба их не прочитает.",
    "zh": "队列保存服务的消息，直到服务读取它们为止。",
    "ar": "تحتفظ قائمة الانتظار برسائل الخدمة حتى تقرأها الخدمة.",
}
FRAME = pl.DataFrame({"id": list(TEXTS), "text": list(TEXTS.values())})


def test_languages_are_named_by_their_code():
    found = identify(FRAME)
    assert found["language"].to_list() == list(TEXTS) and found["language_confidence"].min() > 0.8
    assert identify(FRAME.clear()).columns == found.columns


def test_what_says_nothing_is_undetermined_and_code_is_no_language():
    frame = pl.DataFrame({"text": ["12 34 ...", "", "def the(of): return and_or"], "type": ["text", "text", "code"]})
    assert identify(frame)["language"].to_list() == ["und", "und", "zxx"]
    assert keep(frame, languages=["en"])["reason"].to_list() == ["another language", "another language", None]


def test_only_the_named_languages_stay():
    found = keep(identify(FRAME), languages=["en", "zh"])
    assert found.filter(pl.col("reason").is_null())["id"].to_list() == ["en", "zh"]
    assert found.row(1, named=True)["value"] == "de" and found["rule"][1] == "language in en, zh"
    assert keep(FRAME, languages=["en", "zh"])["reason"].to_list() == found["reason"].to_list()
    unsure = keep(FRAME.with_columns(language=pl.lit("en"), language_confidence=0.6), languages=["en"])
    assert set(unsure["rule"]) == {"language_confidence < 0.65"} and set(unsure["value"]) == {"0.6"}


def test_a_long_text_is_judged_by_its_middle():
    text = TEXTS["en"] * 3 + TEXTS["de"] * 40 + TEXTS["en"] * 3
    assert identify(pl.DataFrame({"text": [text]}))["language"].to_list() == ["de"]


def test_a_table_in_the_middle_and_capitals_hide_no_language():
    table = "+-------+-------+\n| 3.4.1 | 0x0F  |\n" * 40
    frame = pl.DataFrame({"text": [f"{TEXTS['en'] * 6}\n{table}\n{TEXTS['en'] * 6}", "OK!!! i SAID: " + TEXTS["en"].upper() * 3, table]})
    found = identify(frame)
    assert found["language"].to_list() == ["en", "en", "und"] and found["language_confidence"][:2].min() >= 0.9


def test_what_the_model_takes_for_no_language_is_no_code():
    encoded = "SU1QT1JUQU5UIElORk9STUFUSU9OOg0KDQpUaGUgbmV3IGRvbWFpbiBuYW1lcyBhcmUgZmlu\n" * 9
    frame = pl.DataFrame({"text": [encoded, encoded], "type": ["text", "code"]})
    assert identify(frame)["language"].to_list() == ["zxx", "zxx"]
    assert keep(frame, languages=["en"])["reason"].to_list() == ["another language", None]


def declarations():
    """The Declaration of Human Rights in 388 languages."""
    file = Path(__file__).parents[3] / "shared/data/text/udhr2/udhr2.jsonl.gz"
    if not file.is_file():
        pytest.skip("no shared data")
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]


def equal(texts):
    """Does every text get the label and the confidence that py3langid finds for it alone?"""
    known = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    labels, confidence = classify(texts)
    alone = [known.classify(text) for text in texts]
    assert labels.tolist() == [label for label, _ in alone]
    assert confidence == pytest.approx([sure for _, sure in alone], abs=1e-5)


def test_all_texts_together_are_what_py3langid_says_of_each():
    ours = [inspect.getdoc(getattr(str, name)) or "" for name in dir(str)]
    odd = ["", " ", "a", "\0\0", "12 34", "\ud800 half", "HELLO WORLD", unicodedata.normalize("NFD", TEXTS["fr"]), TEXTS["ar"] * 30]
    equal([*TEXTS.values(), *ours, *odd, *ours * 20])  # more than are taken together
    equal(["", ""])
    equal(["a long text " * 10_000, "a short one"])
    assert [found.tolist() for found in classify([])] == [[], []]


def test_real_texts_too():
    rows = declarations()
    equal([row["text"][place : place + size] for row in rows for place, size in ((0, 40), (900, 500), (3000, 200))])


def test_languages_of_real_text():
    codes = (
        "afr af bul bg cat ca ces cs dan da ell_monotonic el est et eus eu fin fi fra fr heb he hin hi hun hu isl is ita it jpn ja kor ko "
        "lit lt mal ml nld nl pol pl por_PT pt rus ru slk sk slv sl spa es swe sv tam ta tel te tha th tur tr ukr uk vie vi yor yo zul zu"
    )
    known = dict(zip(codes.split()[::2], codes.split()[1::2], strict=True))
    rows = [row for row in declarations() if row["id"] in known]
    found = identify(pl.DataFrame({"id": [row["id"] for row in rows], "text": [row["text"] for row in rows]}), characters=200)
    assert found.height > 30
    assert found.filter(pl.col("language") != pl.col("id").replace(known))["id"].to_list() == []
