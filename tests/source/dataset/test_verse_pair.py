from bibles import wheel

from fmcycle.source.dataset.verse_pair import read

OLD = [
    (1001001, "1. In the beginning God created the heaven and the earth."),
    (1001002, " 2. And the earth was without form, and void."),
    (1002001, f" 1. {'And it came to pass. ' * 30}"),
    (2023001, " 1. The LORD is my shepherd;   I shall not want."),
]
NEW = [
    (1001001, "1. In the beginning God created the heavens and the earth."),
    (1002001, " 1. It happened."),
    (2023001, " 1. Yahweh is my shepherd:   I shall lack nothing."),
]


def test_a_pair_is_a_verse_in_both_and_shares_its_group_with_its_chapters(make_wheel):
    tables = read(wheel(make_wheel, "old", OLD), wheel(make_wheel, "new", NEW))
    pairs = {row["id"]: row for row in tables["instructions"]}
    assert set(pairs) == {"verses/Genesis 1:1", "verses/Psalms 23:1"}  # one is in one only, one is too long
    asked, answer = pairs["verses/Psalms 23:1"]["messages"]
    assert asked == {"role": "user", "content": "The LORD is my shepherd; I shall not want."}
    assert answer == {"role": "assistant", "content": "Yahweh is my shepherd: I shall lack nothing."}
    groups = {row["id"]: row["group"] for row in tables["documents"]}
    assert groups["verses/old/Psalms 23"] == groups["verses/new/Psalms 23"] == pairs["verses/Psalms 23:1"]["group"]
    assert len(groups) == 6
