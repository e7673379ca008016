"""Convert the HTML inside API documentation to plain, well-formed English."""

import html
import re

BLOCK = re.compile(r"</?(?:p|ul|ol|dl|note|important|h\d?|title|table|tr|br|div|pre|fullname|section)\b[^>]*/?>", re.I)
ITEM = re.compile(r"<(?:li|dt)\b[^>]*>\s*(?:<p\b[^>]*>)?", re.I)
DEFINITION = re.compile(r"\s*(?:</p>\s*)?(?:</dt>)?\s*<dd\b[^>]*>\s*(?:<p\b[^>]*>)?\s*", re.I)
LEADING_ASIDE = re.compile(r"^\s*<(note|important)>.*?</\1>\s*", re.S | re.I)
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!vs\.)(?<!cf\.)(?<!No\.)\s+(?=[A-Z\"'(])")
# A sentence that only points to a link, which the plain text lacks.
POINTER = re.compile(
    r"^\(?(?:(?:For|To learn|To get|To find|To view)\b.{0,160}\b(?:see|refer to|go to|visit|check out|read)\b"
    r"|See (?:also|the)?\b|Learn more\b|Visit )",
    re.I,
)


def plain(markup: str) -> str:
    """The text of `markup`: paragraphs apart by an empty line, list items on lines that begin with "- "."""
    text = LEADING_ASIDE.sub("", markup)
    text = re.sub(r"\s+", " ", text)
    text = DEFINITION.sub(": ", text)
    text = ITEM.sub("\x01", text)
    text = BLOCK.sub("\x02", text)
    text = html.unescape(TAG.sub("", text)).replace("\xa0", " ")
    text = re.sub(r"[ \x02]*\x01[ \x01\x02]*", "\n- ", text)
    text = re.sub(r" *\x02[ \x02]*", "\n\n", text)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ([.,;:)])(?=\s|$)", r"\1", text)
    text = re.sub(r"\n\n+(?=- )", "\n", text)
    return re.sub(r"^- *$\n?", "", text, flags=re.M).strip()


def sentences(paragraph: str) -> list[str]:
    """The sentences of one paragraph."""
    return [part.strip() for part in SENTENCE_END.split(paragraph) if part.strip()]


def without_pointers(text: str) -> str:
    """`text` without the sentences that only point to another page, and without the paragraphs and items they leave empty."""
    kept: list[str] = []
    for paragraph in text.split("\n\n"):
        lines = []
        for line in paragraph.split("\n"):
            bullet = "- " if line.startswith("- ") else ""
            rest = [sentence for sentence in sentences(line.removeprefix("- ")) if not POINTER.match(sentence)]
            if rest:
                lines.append(bullet + " ".join(rest))
        if lines:
            kept.append("\n".join(lines))
    return "\n\n".join(kept)


def lead(text: str, limit: int, enough: int = 0) -> str:
    """The first sentence of the first paragraph, and the second if the first has fewer than `enough` characters.

    "" when the first is longer than `limit`, or announces a list that does not follow.
    """
    found = [sentence for sentence in sentences(text.split("\n")[0])[:2] if not sentence.endswith(":")]
    if not found or len(found[0]) > limit:
        return ""
    both = " ".join(found)
    return both if len(found[0]) < enough and len(both) <= limit else found[0]


def shorten(text: str, limit: int) -> str:
    """Whole paragraphs of `text` up to `limit` characters, at least the first."""
    paragraphs = text.split("\n\n")
    size = len(paragraphs[0])
    last = 1
    while last < len(paragraphs) and size + len(paragraphs[last]) + 2 <= limit:
        size += len(paragraphs[last]) + 2
        last += 1
    while last > 1 and paragraphs[last - 1].split("\n")[-1].endswith(":"):
        last -= 1  # an announcement whose list was cut
    return "\n\n".join(paragraphs[:last])
