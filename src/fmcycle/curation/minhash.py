"""Near duplicates: documents whose n-grams overlap, and documents that another document contains."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from fmcycle.curation.corpus_step import Fetch
from fmcycle.curation.shingle import Hashes, grams, jaccard, mix, pieces, smallest, words
from fmcycle.ranges import Fraction, NonNegativeInt, PositiveInt

SAMPLE = 2048  # n-grams of a text that are compared; for longer texts the overlap has a standard deviation of 0.009 at 0.8
FETCHED = 4096  # documents fetched at a time
JOINED = 1 << 17  # lines of a part that are joined at a time
SIGNS = "|".join(  # signs that change what a text says, where each number is written 00 and each word aa
    (
        r"0\s*[-+*/%^<>=≤≥≠×÷·:&|~]+\s*0",  # an operator between two numbers
        r"(?:^|[\s(\[])[-+±~<>≤≥$€£¥]+0",  # a sign or a currency before a number
        r"0\s?[%‰°]",  # a unit behind a number
        r"[a0][ \t][<>=≤≥≠+*/^×÷!]+[ \t][a0]",  # an operator between two words; a hyphen there is a dash
        r"a(?:\+\+|#)",  # C++ and C#
    )
)
BRACED = ["c", "c++", "rust", "go", "java", "kotlin", "javascript", "typescript", "php", "perl", "r", "swift", "objective-c", "c#", "dart"]
Sense = tuple[str, int]
PAIR = ("row", "size", "original", "longer")
COMPARED = 1 << 14  # documents in memory together, with their candidates; each slice of them reads most of the corpus again


@dataclass(frozen=True)
class MinHash:
    """Drop each document whose word n-grams overlap an earlier kept one's by `threshold` (Jaccard); `value` is the id of the kept one.

    Candidates share one of `bands` slices of `rows` minima, so that a pair with overlap s is one with chance 1 - (1 - s^rows)^bands:
    0.99 at 0.8 with the defaults. Then their n-grams are compared. A document is dropped only for one that stays itself.
    Source: Broder (1997), On the resemblance and containment of documents; bands: Leskovec et al., Mining of Massive Datasets, 3.4.
    """

    threshold: Fraction = 0.8
    ngram: PositiveInt = 5
    bands: PositiveInt = 16
    rows: PositiveInt = 6
    seed: NonNegativeInt = 0

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line a document and band: `part` is the band, `key` its slice of minima, `bits` and `more` one bit of each minimum."""
        found = [self._lines(piece) for piece in pieces(frame)]
        return pl.concat(found) if found else self._lines(frame)

    def _lines(self, frame: pl.DataFrame) -> pl.DataFrame:
        found = grams(words(frame["text"]), self.ngram)
        some = np.flatnonzero(np.diff(found.start))
        minima = signature(Hashes(found.value, np.append(found.start[some], found.start[-1])), self.bands * self.rows, self.seed)
        weight = np.random.default_rng(self.seed + 1).integers(0, 2**64, self.rows, np.uint64) | np.uint64(1)
        key = mix((minima.reshape(self.bands, self.rows, -1) * weight[:, None]).sum(1, dtype=np.uint64)).ravel()
        bits = np.packbits(minima & 1, axis=0)[:16]
        bits = np.pad(bits, ((0, 16 - len(bits)), (0, 0))).T.copy().view(np.uint64)
        return pl.DataFrame(
            {
                "row": np.tile(frame["row"].to_numpy()[some], self.bands),
                "part": np.repeat(np.arange(self.bands, dtype=np.uint32), len(some)),
                "key": key,
                "bits": np.tile(bits[:, 0], self.bands),
                "more": np.tile(bits[:, 1], self.bands),
            }
        )

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Candidate pairs (row, earlier row) of one key: each row with the first of its key and with the one before it."""
        same = frame.filter(pl.col("key").is_duplicated())
        this = pl.col("row", "bits", "more")
        pairs = [
            same.with_columns(this.first().over("key").name.prefix("other_")),
            same.with_columns(this.shift(1).over("key").name.prefix("other_")),
        ]
        count = min(self.bands * self.rows, 128)
        differ = sum((pl.col(name) ^ pl.col(f"other_{name}")).bitwise_count_ones().cast(pl.Int64) for name in ("bits", "more"))
        # half of the different minima have the same bit; allow four standard deviations below the threshold
        allowed = (1 - self.threshold) / 2
        allowed = count * allowed + 4 * (count * allowed * (1 - allowed)) ** 0.5
        pairs = [pair.filter(pl.col("other_row") < pl.col("row"), differ <= allowed) for pair in pairs]
        return pl.concat(pairs).select("row", original="other_row").unique(maintain_order=True)

    def narrow(self, settled: pl.DataFrame) -> pl.DataFrame:
        """Each pair once, as near duplicates share most bands."""
        return settled.unique()

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """Drop each row for its first kept candidate that is near; a dropped candidate is replaced by the one it was dropped for."""
        pairs = settled.sort("row", "original")
        went: dict[int, int] = {}
        for part in pairs.group_by("row", maintain_order=True).agg("original").iter_slices(COMPARED):
            known = part["original"].explode()
            stands = pl.Series([went.get(other, other) for other in known], dtype=pl.UInt64)
            sample, sense = samples(pl.concat([part["row"], known, stands]), fetch, self.ngram)
            for row, candidates in part.iter_rows():
                for original in sorted({went.get(other, other) for other in candidates}):
                    one, other = sample[row], sample[original]
                    if jaccard(one, other, SAMPLE) >= self.threshold and alike(one, other, sense[row], sense[original]):
                        went[row] = original
                        break
        return dropped(went, "near duplicate", f"overlap of {self.ngram}-grams >= {self.threshold}")


@dataclass(frozen=True)
class Contained:
    """Drop each document if a longer kept one contains the share `threshold` of its word n-grams; `value` is the id of the kept one.

    The Jaccard overlap of a chapter and its book, or of a letter and the reply that quotes it, is small. Candidates share sampled n-grams,
    the one in `every` with the smallest hashes, of which the shorter text looks up `asked`; then the n-grams of the shorter text (SAMPLE
    of a long one) are looked up in the longer. Of equal texts the first stays. Texts of fewer than `min_words` stay: a sentence is not a
    copy of a page that has it too. An n-gram sampled in more than `common` documents makes no candidates.
    Source: Broder (1997), containment; a share of all hashes as in Irber et al. (2022), Lightweight compositional analysis.
    """

    threshold: Fraction = 0.75
    ngram: PositiveInt = 5
    min_words: PositiveInt = 500
    every: PositiveInt = 16
    asked: PositiveInt = 16
    common: PositiveInt = 32
    parts: PositiveInt = 64

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line a sampled n-gram: `key`; `size`: number of the document's sampled n-grams; `asks`: whether to look it up in others."""
        found = [self._lines(piece) for piece in pieces(frame)]
        return pl.concat(found) if found else self._lines(frame)

    def _lines(self, frame: pl.DataFrame) -> pl.DataFrame:
        found = grams(words(frame["text"]), self.ngram)
        count = np.diff(found.start)
        owner = np.repeat(np.arange(frame.height), count)
        chosen = (found.value <= np.uint64((2**64 - 1) // self.every)) & (count > self.min_words - self.ngram)[owner]
        lines = pl.DataFrame({"owner": owner[chosen], "key": found.value[chosen]}).unique(maintain_order=True)
        return lines.select(
            row=frame["row"].gather(lines["owner"]),
            part=(pl.col("key") % self.parts).cast(pl.UInt32),
            key="key",
            size=pl.len().over("owner").cast(pl.UInt32),
            asks=pl.col("key").rank("ordinal").over("owner") <= self.asked,
        )

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """(row, size, original, longer, shared): how many of the n-grams that a shorter text looks up are in a longer one."""
        same = frame.filter(pl.len().over("key").is_between(2, self.common)).drop("part")
        found = [self._pairs(same.clear())]
        slices = 1 + same.height // JOINED
        for place in range(slices):
            found.append(self._pairs(same.filter(pl.col("key") // self.parts % slices == place)))
        return pl.concat(found).group_by(PAIR).agg(pl.col("shared").sum()).sort("row", "original")

    def _pairs(self, same: pl.DataFrame) -> pl.DataFrame:
        pairs = same.filter("asks").drop("asks").join(same.select("key", original="row", longer="size"), on="key")
        # of two texts of equal size the later counts as shorter
        later = (pl.col("size") == pl.col("longer")) & (pl.col("row") > pl.col("original"))
        pairs = pairs.filter((pl.col("size") < pl.col("longer")) | later)
        return pairs.group_by(PAIR).agg(shared=pl.len().cast(pl.UInt32))

    def narrow(self, settled: pl.DataFrame) -> pl.DataFrame:
        """The pairs that share enough of the n-grams looked up; most pairs share only a phrase."""
        pairs = settled.group_by(PAIR).agg(pl.col("shared").sum().cast(pl.Int64))
        asked = pl.min_horizontal("size", self.asked)
        deviation = (asked * self.threshold * (1 - self.threshold)).sqrt()
        return pairs.filter(pl.col("shared") >= asked * self.threshold - 4 * deviation)

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """From the longest document down, drop each that a kept one contains."""
        pairs = settled.drop("shared")
        near = pairs.join(self._held(pairs.sort("original", "row"), fetch), on=["row", "original"])
        went: dict[int, int] = {}
        order = near.sort(["size", "row", "longer", "original"], descending=[True, False, True, False])
        for row, original in order.select("row", "original").iter_rows():
            if row not in went and original not in went:
                went[row] = original
        return dropped(went, "held by another document", f"share of its {self.ngram}-grams >= {self.threshold}")

    def _held(self, pairs: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """The pairs whose longer text contains enough of all n-grams of the shorter one."""
        sample, sense = samples(pairs["row"], fetch, self.ngram)
        found = []
        for part in pairs.select(pl.col("original").unique(maintain_order=True)).iter_slices(FETCHED):
            shorter = dict(pairs.filter(pl.col("original").is_in(part["original"].implode())).group_by("original").agg("row").iter_rows())
            for piece in pieces(fetch(part["original"])):
                for original, longer, own in zip(piece["row"], compared(piece["text"], self.ngram), senses(piece), strict=True):
                    enough = (row for row in shorter[original] if within(sample[row], longer).mean() >= self.threshold)
                    found += [(row, original) for row in enough if alike(sample[row], longer[:SAMPLE], sense[row], own)]
        return pl.DataFrame(found, schema={"row": pl.UInt64, "original": pl.UInt64}, orient="row")


def signature(found: Hashes, permutations: int, seed: int) -> np.ndarray:
    """MinHash minima, uint32 (permutations, texts), of texts that have an n-gram each; the permutations are a h + b modulo 2^32."""
    random = np.random.default_rng(seed)
    factor = random.integers(0, 2**32, permutations, np.uint32) | np.uint32(1)
    offset = random.integers(0, 2**32, permutations, np.uint32)
    value = (found.value >> np.uint64(32)).astype(np.uint32)
    minima = np.empty((permutations, len(found.start) - 1), np.uint32)
    if not minima.shape[1]:
        return minima
    permuted = np.empty_like(value)
    for place in range(permutations):
        np.multiply(value, factor[place], out=permuted)
        np.add(permuted, offset[place], out=permuted)
        np.minimum.reduceat(permuted, found.start[:-1], out=minima[place])
    return minima


def within(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which of `values` are in `other`, which is sorted and not empty."""
    return other[np.minimum(np.searchsorted(other, values), len(other) - 1)] == values


def samples(rows: pl.Series, fetch: Fetch, ngram: int) -> tuple[dict[int, np.ndarray], dict[int, Sense]]:
    """(n-grams by document, a sample of long ones; label and signs by document)."""
    found: dict[int, np.ndarray] = {}
    sense: dict[int, Sense] = {}
    for part in pl.DataFrame({"row": rows.unique().sort()}).iter_slices(FETCHED):
        for piece in pieces(fetch(part["row"])):
            found |= dict(zip(piece["row"], compared(piece["text"], ngram, SAMPLE), strict=True))
            sense |= dict(zip(piece["row"], senses(piece), strict=True))
    return found, sense


def senses(frame: pl.DataFrame) -> list[Sense]:
    """(label, hash of 64 bits of the signs) of each text: in code all but blanks, with the depth of each line unless the language has
    braces; in prose the SIGNS."""
    code = pl.col("type").is_in(["code"]) if "type" in frame.columns else pl.lit(False)
    braced = pl.col("domain").str.to_lowercase().is_in(BRACED) if "domain" in frame.columns else pl.lit(False)
    label = pl.col("label").fill_null("") if "label" in frame.columns else pl.lit("")
    plain = pl.col("text").str.replace_all("−", "-").str.replace_all(r"\p{N}+", "00").str.replace_all(r"[\p{L}\p{M}]+", "aa")
    found = plain.str.extract_all(f"(?m){SIGNS}").list.join(" ").str.replace_all(r"[\sa0]+", " ")
    shown = frame.select(label=label, text="text", code=code, braced=braced.fill_null(False), found=found)
    deep = shown.select(pl.when(code=True, braced=False).then(pl.col("text")))["text"].map_elements(depths, pl.String)
    signs = pl.when(pl.col("braced") & pl.col("code")).then(pl.col("text").str.replace_all(r"\s+", ""))
    return shown.select("label", signs=pl.coalesce(deep, signs, "found").hash(0)).rows()


def depths(text: str) -> str:
    """Code without blanks, each line behind the depth of its indentation, which is the same whatever the width of a step."""
    stack: list[int] = []
    found = []
    for line in text.expandtabs().splitlines():
        if body := "".join(line.split()):
            width = len(line) - len(line.lstrip())
            while stack and stack[-1] > width:
                stack.pop()
            if width > (stack[-1] if stack else 0):
                stack.append(width)
            found.append(f"{len(stack)} {body}")
    return "\n".join(found)


def alike(one: np.ndarray, other: np.ndarray, sense: Sense, sense_of_other: Sense) -> bool:
    """True if two overlapping texts are copies: their labels don't differ, and if their words are equal, their signs are too."""
    if sense[0] and sense_of_other[0] and sense[0] != sense_of_other[0]:
        return False
    return sense[1] == sense_of_other[1] or not np.array_equal(one, other)


def compared(texts: pl.Series, ngram: int, limit: int | None = None) -> list[np.ndarray]:
    """The distinct n-grams of each text, uint32, sorted, the smallest `limit`; half of the hash's bits, to save memory."""
    found = grams(words(texts), ngram)
    return smallest(Hashes((found.value >> np.uint64(32)).astype(np.uint32), found.start), limit)


def dropped(went: dict[int, int], reason: str, rule: str) -> pl.DataFrame:
    """Verdicts from {dropped row: the row that stays for it}."""
    frame = pl.DataFrame({"row": list(went), "original": list(went.values())}, schema={"row": pl.UInt64, "original": pl.UInt64})
    return frame.select("row", "original", reason=pl.lit(reason), rule=pl.lit(rule))
