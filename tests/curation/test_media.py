import io
import re
import struct
import zlib

import numpy as np
import polars as pl
import pytest

from fmcycle.curation.media import judge, sketch, together, wrong
from fmcycle.curation.privacy import mask
from fmcycle.curation.text import normalize
from fmcycle.processor import media

PICTURES = [media.as_png(np.full((3, 8, 8), value)) for value in (-1, 0, 1)]
NOISE = media.as_png(np.random.default_rng(0).uniform(-1, 1, (3, 20, 20)))
SOUND = media.as_wav(np.sin(np.arange(4000) / 5), 8000)


def rows(*entries):
    """(media, text, group) as a table, with ids a, b, c."""
    base = {"label": "", "type": "image", "source": "mine"}
    return pl.DataFrame(
        [{"id": "abcdefgh"[place], "media": each[0], "text": each[1], "group": each[2], **base} for place, each in enumerate(entries)]
    )


def claims(width, height):
    """A PNG of a few bytes that says it is so large."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (NOISE[: len(NOISE) // 2], "damaged picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "readable image"),
        (b"", "not a readable image"),
        (claims(60000, 60000), "60000|3600000000"),
        (claims(0, 8), "image|picture"),
        (SOUND[: len(SOUND) // 2], "cut short"),
        (SOUND[:44], "without sound"),
    ],
)
def test_what_does_not_decode_to_its_end_is_told(content, reason):
    assert re.search(reason, wrong(content))


def test_any_mode_and_format_that_decodes_is_fine():
    from PIL import Image

    assert wrong(SOUND) is None and wrong(PICTURES[0]) is None
    for mode, kind in (("1", "PNG"), ("P", "GIF"), ("LA", "PNG"), ("RGBA", "WEBP"), ("CMYK", "JPEG")):
        out = io.BytesIO()
        Image.new(mode, (5, 4)).save(out, kind)
        assert wrong(out.getvalue()) is None, (mode, kind)


def test_every_row_stays_or_goes_with_its_reason():
    frame = rows(
        (PICTURES[0], "Black,\u200b says me@example.org", "1"),
        (PICTURES[0], "Black, says me@example.org", "2"),
        (PICTURES[0], "Dark.", "3"),
        (NOISE[:-200], "Cut.", "4"),
        (PICTURES[2], None, "5"),
        (PICTURES[2], "", "6"),
        (SOUND, "Hello.", "7"),
    )
    kept, gone = judge(sketch(frame, [normalize, mask]))
    assert dict(kept.select("id", "text").iter_rows()) == {"a": "Black, says <email>", "c": "Dark.", "e": "", "g": "Hello."}
    assert {row["id"]: (row["reason"], row["value"]) for row in gone.to_dicts() if row["id"] != "d"} == {
        "b": ("exact duplicate", "a"),
        "f": ("exact duplicate", "e"),
    }
    assert gone.filter(pl.col("id") == "d")["reason"].item() == "can't be decoded"
    assert kept.height + gone.height == frame.height and set(kept.columns) == set(frame.columns)
    contents = dict(frame.select("id", "media").iter_rows())
    again, none = judge(sketch(kept.with_columns(media=pl.Series([contents[name] for name in kept["id"]])), [normalize, mask]))
    assert again.equals(kept) and none.is_empty()


def test_how_rows_are_cut_does_not_matter():
    frame = rows(*[(PICTURES[place % 3], "ab"[place % 2], str(place)) for place in range(8)])
    cut = pl.concat([sketch(frame.slice(start, 3), [normalize]) for start in (0, 3, 6)])
    assert judge(cut)[0].equals(judge(sketch(frame, [normalize]))[0])


def test_captions_of_one_picture_are_never_parted():
    frame = rows(
        (PICTURES[0], "a", "x"), (PICTURES[0], "b", "w"), (PICTURES[1], "c", "w"), (PICTURES[1], "d", "v"), (PICTURES[2], "e", "z")
    )
    assert together(frame)["group"].to_list() == ["v", "v", "v", "v", "z"]
    assert together(frame.reverse())["group"].to_list() == ["z", "v", "v", "v", "v"]


def test_nothing_is_nothing():
    empty = rows((PICTURES[0], "a", "x")).clear()
    kept, gone = judge(sketch(empty, [normalize]))
    assert kept.is_empty() and gone.is_empty()
