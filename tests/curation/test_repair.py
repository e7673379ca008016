import polars as pl
import pytest

from fmcycle.curation.repair import SUSPICIOUS, repair
from fmcycle.curation.text import normalize


def one(text, step=repair):
    return step(pl.DataFrame({"text": [text]}))["text"][0]


MEANT = {
    "cp1252": ["don’t — never", "Müller trinkt Öl für 5 €", "naïve café, ñandú", "ça coûte 3 £"],
    "latin-1": ["don’t — “ever”", "Müller trinkt Öl für 5 €", "naïve café", "Привет, мир: это проверка", "日本語の文章"],
    "cp1251": ["Привет, мир: это проверка", "Сегодня хорошая погода"],
}


@pytest.mark.parametrize(("table", "text"), [(table, text) for table, texts in MEANT.items() for text in texts])
def test_what_was_read_with_the_wrong_table_is_mended(table, text):
    broken = text.encode().decode(table)
    assert broken != text and one(broken) == text


@pytest.mark.parametrize(
    "text", ["SÃO PAULO", "Âge d’or", "Рівне, Різдво", "x² ± ½ µm", "don&rsquo;t & &amp;", "ﬁne １２", "\x1b[31mred", "Ã", "“so”"]
)
def test_sound_text_stays(text):
    assert one(text) == text


def test_only_the_broken_line_changes():
    assert one("SÃO PAULO\nItâ€™s here\nÂge d’or") == "SÃO PAULO\nIt’s here\nÂge d’or"
    assert not pl.Series(["plain ASCII, and Straße, and Москва"]).str.contains(SUSPICIOUS)[0]


def test_what_was_read_with_some_other_table_stays_as_it_is():
    for text in (
        "IT / ¹æ¼Û / ºäÆ¼ / ÀÎÅ×¸®¾î",
        "\x82à\x82à\x82ª\x82Í\x82¶\x82¯\x82Ä\x82\x82Ô",
    ):  # Korean and Japanese tables, from real mail
        assert one(text) == text


def test_letters_of_old_tables_do_not_become_quotation_marks():
    swedish = "Och Jakob begav sig åstad på väg till Österlandet.\nDär fick han se en brunn på fältet."
    broken = swedish.encode("cp850").decode("latin-1")
    assert one(broken) == broken
    quoted = "It\x92s \x93here\x94, said the captain\x97and no\x94where else.\nItâ€™s so."
    assert one(quoted) == "It’s “here”, said the captain—and no”where else.\nIt’s so."


def test_a_repaired_text_repairs_to_itself_before_and_after_normalizing():
    texts = ["donâ€™t", "Ã¢â‚¬â„¢ twice", "â€œso", "a\u0085b\u009d", "Ã\xa0 la carte", "cafe\u0301 Ã©t\xc3\xa9"]
    once = [one(one(text), normalize) for text in texts]
    assert [one(one(text), normalize) for text in once] == once
    assert one("Ã¢â‚¬â„¢ twice") == "’ twice"
