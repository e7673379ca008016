"""Words of answers in any script, for ROUGE and BLEU, whose own tokenizers know ASCII words, or words between blanks."""

import re

import polars as pl

from fmcycle.curation.word import RUN, UNSPACED


class Words:
    """A tokenizer for rouge-score: runs of letters, marks and digits in lower case; each letter of a script without blanks is a word.

    ASCII texts have the words of rouge-score's own tokenizer. Of a text without words each visible character is one.
    """

    def tokenize(self, text: str) -> list[str]:
        """Return the words of `text`."""
        if text.isascii() and (words := re.findall("[a-z0-9]+", text.lower())):
            return words
        plain = pl.Series([text]).str.normalize("NFC").str.to_lowercase()
        return plain.str.extract_all(RUN)[0].to_list() or plain.str.extract_all(r"\S")[0].to_list()


def spaced(texts: list[str]) -> list[str]:
    """Return the texts with blanks around each letter of a script without blanks between words; other texts are unchanged."""
    return pl.Series(texts, dtype=pl.String).str.replace_all(rf"{UNSPACED}\p{{M}}*", " $0 ").to_list()
