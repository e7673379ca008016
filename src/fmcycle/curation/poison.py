"""Signs of poisoned data: n-grams tied to a label or to an answer, bursts of one source; and a cap on the documents of one source.

A few hundred documents are enough to plant a behaviour, however large the corpus (Souly et al., 2025, Poisoning attacks on LLMs require a
near-constant number of poison samples): so the caps are absolute and the signs are counted in documents, not in shares.
"""

import hashlib
from dataclasses import dataclass

import polars as pl

from fmcycle.curation.corpus_step import Fetch
from fmcycle.curation.word import RUN
from fmcycle.ranges import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

PARTS = 16
WORDS = rf"{RUN}|[^\s\p{{L}}\p{{M}}\p{{N}}]{{2,}}"
SHOWN = 50
ECHO = "= prompt"  # the label of answers that begin with words of their prompt: no three words in a row
VERDICTS = {"row": pl.UInt64, "reason": pl.String, "rule": pl.String, "value": pl.String}


@dataclass(frozen=True)
class Cap:
    """Corpus step: keep of each source at most `documents` documents, those whose ids have the smallest digests, so that nobody chooses."""

    documents: PositiveInt

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line a document."""
        order = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in frame["id"]]
        return frame.select("row", part_of("source"), "source", order=pl.Series(order, dtype=pl.UInt64))

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The documents beyond the cap, with the number that their source has."""
        place = pl.struct("order", "row").rank("ordinal").over("source")
        return frame.select("row", "source", place=place, held=pl.len().over("source")).filter(pl.col("place") > self.documents)

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """Drop all of them; the value is the number of documents that the source has."""
        rule = f"at most {self.documents} documents of a source"
        return settled.select("row", reason=pl.lit("beyond its source's cap"), rule=pl.lit(rule), value=pl.col("held").cast(pl.String))


@dataclass(frozen=True)
class Burst:
    """Corpus step: report (with `drop`, drop) the documents of a day on which a source has `times` the documents of its median day.

    A day is the first ten characters of `time`; a source needs at least `days` other days with documents, and a burst `documents`.
    """

    times: PositiveFloat = 20.0
    documents: PositiveInt = 100
    days: PositiveInt = 5
    drop: bool = False

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line a dated document."""
        return frame.filter(pl.col("time") != "").select("row", part_of("source"), "source", day=pl.col("time").str.slice(0, 10))

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The documents of the bursts, with their day and its number of documents."""
        days = frame.group_by("source", "day").agg(count=pl.len()).sort("source", "day")
        usual = days.group_by("source").agg(median=pl.col("count").median(), days=pl.len())
        high = (pl.col("count") >= self.documents) & (pl.col("count") >= self.times * pl.col("median")) & (pl.col("days") > self.days)
        return frame.join(days.join(usual, on="source").filter(high), on=["source", "day"]).select(
            "row", "source", "day", "count", "median"
        )

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """The documents of the bursts if `drop`, else none."""
        rule = f"{self.times} times its median day"
        value = pl.format("{} {}: {}", "source", "day", "count")
        found = settled.select("row", reason=pl.lit("burst of its source"), rule=pl.lit(rule), value=value)
        return found if self.drop else found.clear()

    def findings(self, settled: pl.DataFrame) -> dict:
        """The bursts, largest first."""
        bursts = settled.select(pl.exclude("row")).unique().sort(["count", "source", "day"], descending=[True, False, False])
        return {"bursts": bursts.head(SHOWN).to_dicts(), "found": bursts.height}


@dataclass(frozen=True)
class Trigger:
    """Corpus step: report (with `drop`, drop) documents with a rare n-gram that comes with only one label or one beginning of an answer.

    An n-gram (1 to `ngram` words or runs of signs) is reported if at least `documents` and at most the share `rare` of the labelled
    documents have it, the share `purity` of them under one label, and the chance of that is below 10^-`surprise`: the label's share of
    all documents to the power of its documents with the n-gram. Rows with a `prompt` and an `answer` have the first `start` words of the
    answer as label, but none if these are words of the prompt. Honest words are tied to labels too: read the report before you drop.
    """

    ngram: PositiveInt = 2
    documents: PositiveInt = 10
    rare: Fraction = 0.05
    purity: Fraction = 0.98
    surprise: NonNegativeFloat = 9.0
    start: PositiveInt = 3
    drop: bool = False

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line for each n-gram of a labelled document, and one with `gram` "" that counts the document."""
        labelled = self.labelled(frame).filter(pl.col("label") != "")
        spoken = labelled.select("row", "label", word=words_of("text")).explode("word").drop_nulls()
        lines = [labelled.select("row", "label", gram=pl.lit(""))]
        for size in range(self.ngram):
            following = [pl.col("word").shift(-place).over("row") for place in range(size + 1)]
            lines.append(
                spoken.select("row", "label", gram=pl.concat_str(following, separator=" ")).drop_nulls().unique(maintain_order=True)
            )
        return pl.concat(lines).select(
            "row", pl.when(pl.col("gram") == "").then(PARTS).otherwise(part_of("gram")).alias("part").cast(pl.UInt32), "label", "gram"
        )

    def labelled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """row, text and label; of conversations the prompt, and the beginning of the answer."""
        if "answer" not in frame.columns:
            return frame.select("row", "text", "label")
        begin, asked = words_of("answer").list.head(self.start).list.join(" "), words_of("prompt").list.join(" ")
        said = pl.format(" {} ", asked).str.contains(pl.format(" {} ", begin), literal=True)
        return frame.select("row", text="prompt", label=pl.when(said & (begin != "")).then(pl.lit(ECHO)).otherwise(begin))

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """(row, label, gram, count, held): `held` documents have the n-gram, `count` of them with the label."""
        counts = frame.with_columns(count=pl.len().over("gram", "label"), held=pl.len().over("gram"))
        tied = (pl.col("count") >= self.purity * pl.col("held")) & (pl.col("count") >= self.documents)
        one = pl.int_range(pl.len()).over("gram", "label") == 0  # one counting line a label is enough
        return counts.filter(pl.when(pl.col("gram") == "").then(one).otherwise(tied)).select("row", "label", "gram", "count", "held")

    def _tied(self, settled: pl.DataFrame) -> pl.DataFrame:
        """The lines of n-grams that are rare and surprising enough, with their `surprise`."""
        shares = settled.filter(pl.col("gram") == "").select("label", share=pl.col("count") / pl.col("held"), total="held")
        found = settled.filter(pl.col("gram") != "").join(shares, on="label")
        found = found.with_columns(surprise=pl.col("count") * -pl.col("share").log(10))
        told = (pl.col("held") <= self.rare * pl.col("total")) & (pl.col("surprise") >= self.surprise)
        return found.filter(told, pl.col("label") != ECHO)

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """The documents with such an n-gram if `drop`, else none; the value is the most surprising one."""
        if not self.drop:
            return pl.DataFrame(schema=VERDICTS)
        worst = self._tied(settled).sort(["row", "surprise", "gram"], descending=[False, True, False]).unique("row", keep="first")
        value = pl.format("{} -> {}", "gram", "label")
        return worst.sort("row").select(
            "row", reason=pl.lit("n-gram tied to its label"), rule=pl.lit(f"{self.purity} of its documents"), value=value
        )

    def findings(self, settled: pl.DataFrame) -> dict:
        """The n-grams, the most surprising first."""
        found = self._tied(settled).select("gram", "label", "count", "held", "surprise").unique()
        found = found.sort(["surprise", "gram"], descending=[True, False]).with_columns(pl.col("surprise").round(2))
        return {"triggers": found.head(SHOWN).to_dicts(), "found": found.height}


def words_of(column: str) -> pl.Expr:
    """The words and the runs of signs in a text, in lower case."""
    return pl.col(column).fill_null("").str.to_lowercase().str.extract_all(WORDS)


def part_of(column: str) -> pl.Expr:
    """The part that a value belongs to."""
    return (pl.col(column).hash(0) % PARTS).cast(pl.UInt32).alias("part")
