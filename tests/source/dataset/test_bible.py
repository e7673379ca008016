from bibles import wheel

from fmcycle.source.dataset.bible import read, verses

OLD = [
    (1001001, "1. In the beginning God created the heaven and the earth."),
    (1001002, " 2. And the earth was without form, and void; and darkness [was] there."),
    (2023001, " 1. The LORD is my shepherd; I shall not want."),
]
NEW = [
    (1001001, "1. In the beginning God created the heavens and the earth."),
    (1001002, " 2. Now the earth was formless, and God`s Spirit was hovering over it."),
    (2023001, " 1. Yahweh is my shepherd:   I shall lack nothing."),
]


def test_verses_are_read_from_literals_and_cleaned(make_wheel):
    found = verses(wheel(make_wheel, "kjv", OLD))
    assert found["Genesis", 1, 2] == "And the earth was without form, and void; and darkness was there."
    assert list(found) == [("Genesis", 1, 1), ("Genesis", 1, 2), ("Psalms", 23, 1)]


def test_a_verse_and_its_chapter_share_one_group_in_both_translations(make_wheel):
    tables = read(wheel(make_wheel, "kjv", OLD), wheel(make_wheel, "web", NEW))
    assert [(row["id"], row["group"]) for row in tables["documents"]] == [
        ("bible/web/Genesis 1", "bible/Genesis 1"),
        ("bible/web/Psalms 23", "bible/Psalms 23"),
    ]
    assert tables["documents"][1]["text"] == "Psalm 23\n\nYahweh is my shepherd:\nI shall lack nothing."
    pairs = {row["id"]: row for row in tables["instructions"]}
    assert set(pairs) == {"bible/Genesis 1:1", "bible/Genesis 1:2"}  # a poem's lines make no sentence
    row = pairs["bible/Genesis 1:2"]
    assert row["messages"][1]["content"] == "Now the earth was formless, and God's Spirit was hovering over it."
    assert row["group"] == "bible/Genesis 1" and row["document"] == "bible/web/Genesis 1"
