"""What a word, a line and a sentence is, in any script: expressions over `text` for the rules that count them."""

import polars as pl

# Scripts that put no blank between words: there a letter with its marks is a word. Elsewhere a word is what stands between blanks, or
# before the Ethiopic word space.
UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}\p{Balinese}"
    r"\p{Tai_Tham}\p{Tai_Viet}\p{New_Tai_Lue}\p{Tai_Le}&&\p{L}]"
)
SPACED = rf"[\S--[{UNSPACED}፡]]"
WORD = rf"{UNSPACED}[\p{{M}}་]*|{SPACED}+፡?|፡"
LETTERED = rf"{UNSPACED}[\p{{M}}་]*|{SPACED}*[\p{{L}}--{UNSPACED}]{SPACED}*፡?"
# A letter is a syllable or a word: the length of words says something else than in an alphabet.
SYLLABIC = rf"[{UNSPACED}[\p{{Hangul}}\p{{Ethiopic}}\p{{Vai}}\p{{Cherokee}}\p{{Canadian_Aboriginal}}&&\p{{L}}]]"
# A sentence runs to a terminal and its closing marks before a blank, to a wide terminal, or to the line's end; "J." ends none.
SENTENCE = r"(?:\b\p{Lu}\.|\S)(?:\b\p{Lu}\.|.)*?(?:\p{Sentence_Terminal}+[\p{Pe}\p{Pf}\"']*(?:\s|$)|[。！？｡]+[\p{Pe}\p{Pf}\"']*|$)"

END = r"[\p{Sentence_Terminal}།༎]"  # Tibetan's strokes end a sentence, which Unicode's property leaves out
UNENDED = r"[\p{Thai}\p{Lao}&&\p{L}]"  # sentences end in a blank there


def letters(text: pl.Expr) -> pl.Expr:
    """`text` with an "a" for each word that has a letter, so that counting goes on over a string a quarter as long."""
    return text.str.replace_all(LETTERED, "a")


def words(text: pl.Expr) -> pl.Expr:
    """Number of words."""
    return text.str.count_matches(WORD)


def mostly(text: pl.Expr, letters: str) -> pl.Expr:
    """Are more than half of the text's letters of these?"""
    text = pl.when(text.str.len_bytes() > text.str.len_chars()).then(text)  # plain ASCII has none of them
    count = text.str.count_matches(letters)
    return (count * 2 > pl.when(count > 0).then(text).str.count_matches(r"\p{L}")).fill_null(False)


def lines(text: pl.Expr) -> pl.Expr:
    """Number of lines, blank ones counted, an empty last one not."""
    return text.str.count_matches("\n", literal=True) + 1 - text.str.ends_with("\n").cast(pl.UInt32)
