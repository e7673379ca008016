"""Quality score of a classifier trained on examples."""

import polars as pl

from fmcycle.curation import linear
from fmcycle.ranges import ExistingPath, Fraction, NonNegativeInt, PositiveInt


def quality(
    frame: pl.DataFrame,
    *,
    good: list[ExistingPath | dict],
    bad: list[ExistingPath | dict],
    threshold: Fraction = 0.5,
    buckets: PositiveInt = 1 << 18,
    ngram: PositiveInt = 2,
    characters: PositiveInt = 4000,
    seed: NonNegativeInt = 0,
) -> pl.DataFrame:
    """Add `quality`, how much the first `characters` of a text are like the `good` rather than the `bad` examples; drop below `threshold`.

    good, bad: files and folders that `linear.examples` reads. The score is a function of the examples, the seed and the text. Method: the
    quality classifiers of GPT-3 (Brown et al., 2020, appendix A) and DCLM (Li et al., 2024).
    """
    model = linear.trained(good, bad, buckets=buckets, ngram=ngram, characters=characters, seed=seed)
    frame = frame.with_columns(quality=pl.Series(model.score(frame["text"]), dtype=pl.Float64).round(4))
    low = pl.when(pl.col("quality") < threshold)
    return frame.with_columns(
        reason=low.then(pl.lit("unlike the good examples")),
        rule=low.then(pl.lit(f"quality < {threshold}")),
        value=low.then(pl.col("quality").cast(pl.String)),
    )
