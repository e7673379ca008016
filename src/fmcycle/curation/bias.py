"""Representation: how often texts name groups of people, and beside which attributes. Nothing is dropped."""

from dataclasses import dataclass, field

import polars as pl

from fmcycle.curation.word import SENTENCE

# English examples; name your own groups, in your own language, in the config.
GROUPS = {
    "women": ["she", "her", "hers", "woman", "women", "girl", "girls", "mother", "daughter", "wife", "sister"],
    "men": ["he", "him", "his", "man", "men", "boy", "boys", "father", "son", "husband", "brother"],
}
ATTRIBUTES = {
    "career": ["doctor", "engineer", "manager", "lawyer", "scientist", "professor", "captain", "president", "salary", "office"],
    "family": ["home", "children", "child", "marriage", "wedding", "kitchen", "cooking", "baby", "nurse", "household"],
}
VERDICT = {"row": pl.UInt64, "reason": pl.String, "rule": pl.String, "value": pl.String}


@dataclass(frozen=True)
class Representation:
    """Corpus step that only reports: how often each group is named, and its share beside each attribute, against a target.

    groups, attributes: whole words by name, in any case. A group is beside an attribute if a sentence has words of both; its share there is
    of all such (group, sentence) pairs. target: a share for each group (default: the group's share in the whole corpus, so that the gap
    is what the attribute adds). Source: after Bordia and Bowman, Gender Bias in Word-Level Language Models (2019).
    """

    groups: dict[str, list[str]] = field(default_factory=lambda: GROUPS)
    attributes: dict[str, list[str]] = field(default_factory=lambda: ATTRIBUTES)
    target: dict[str, float] = field(default_factory=dict)

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The number of sentences of each document by group and attribute ("" for any)."""
        sentences = frame.select("row", sentence=pl.col("text").str.to_lowercase().str.extract_all(rf"(?m){SENTENCE}")).explode("sentence")
        named = [self.has(words).alias(f"group:{name}") for name, words in sorted(self.groups.items())]
        found = sentences.with_columns(named).filter(pl.any_horizontal(pl.col("^group:.*$"))) if named else sentences.clear()
        found = found.with_columns(self.has(words).alias(f"beside:{name}") for name, words in sorted(self.attributes.items()))
        pairs = [
            pl.struct(group=pl.lit(group), attribute=pl.lit(attribute), count=self.together(group, attribute).cast(pl.UInt32))
            for group in sorted(self.groups)
            for attribute in ["", *sorted(self.attributes)]
        ]
        if not pairs:
            return found.select("row", part=pl.lit(0, pl.UInt32), group=pl.lit(""), attribute=pl.lit(""), count=pl.lit(0, pl.UInt32))
        counted = found.select("row", pair=pl.concat_list(pairs)).explode("pair").unnest("pair").filter(pl.col("count") > 0)
        summed = counted.group_by("row", "group", "attribute", maintain_order=True).agg(pl.col("count").sum())
        return summed.select("row", part=pl.lit(0, pl.UInt32), group="group", attribute="attribute", count="count")

    def has(self, words: list[str]) -> pl.Expr:
        """True if a sentence has one of the words."""
        return pl.col("sentence").str.contains(rf"\b(?:{'|'.join(map(escaped, words))})\b").fill_null(False)

    def together(self, group: str, attribute: str) -> pl.Expr:
        """True if a sentence names the group and, unless it is "", the attribute."""
        named = pl.col(f"group:{group}")
        return named & pl.col(f"beside:{attribute}") if attribute else named

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The number of sentences and documents by group and attribute."""
        sums = frame.group_by("group", "attribute").agg(
            pl.col("row").min(), pl.col("count").cast(pl.UInt64).sum().alias("sentences"), pl.col("row").n_unique().alias("documents")
        )
        return sums.select("row", "group", "attribute", "sentences", "documents").sort("group", "attribute")

    def verdicts(self, settled: pl.DataFrame, fetch) -> pl.DataFrame:
        """An empty frame: a skewed corpus is not the fault of one document."""
        return pl.DataFrame(schema=VERDICT)

    def findings(self, settled: pl.DataFrame) -> dict:
        """{"groups": {name: sentences, documents, share, target, gap}, "beside": {attribute: {group: sentences, share, target, gap}}}."""
        sums = settled.group_by("group", "attribute").agg(pl.col("sentences").sum(), pl.col("documents").sum())
        counts = {(group, attribute): (sentences, documents) for group, attribute, sentences, documents in sums.iter_rows()}
        none = (0, 0)
        everything = sum(counts.get((group, ""), none)[0] for group in self.groups)
        base = {group: counts.get((group, ""), none)[0] / everything if everything else 0.0 for group in sorted(self.groups)}
        aim = base | self.target
        groups = {
            group: {"documents": counts.get((group, ""), none)[1]} | measured(counts.get((group, ""), none)[0], everything, aim[group])
            for group in base
        }
        beside = {}
        for attribute in sorted(self.attributes):
            total = sum(counts.get((group, attribute), none)[0] for group in base)
            beside[attribute] = {group: measured(counts.get((group, attribute), none)[0], total, aim[group]) for group in base}
        return {"groups": groups, "beside": beside}


def escaped(word: str) -> str:
    """A word in lower case as a regular expression."""
    return "".join(f"\\{sign}" if not sign.isalnum() and not sign.isspace() else sign for sign in word.lower())


def measured(sentences: int, total: int, target: float) -> dict:
    """A share with its gap to the target; both are None if `total` is 0."""
    share = sentences / total if total else None
    gap = None if share is None else round(share - target, 4)
    return {"sentences": sentences, "share": None if share is None else round(share, 4), "target": round(target, 4), "gap": gap}
