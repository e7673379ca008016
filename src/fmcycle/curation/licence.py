"""Filter documents by licence."""

import polars as pl

from fmcycle.licence.policy import UNKNOWN, Policy


def policy(frame: pl.DataFrame, *, allow: list[str]) -> pl.DataFrame:
    """Drop each text whose `licence` (an SPDX expression) `allow`, a list of families and names, doesn't permit; `value` is the licence."""
    judge = Policy(allow)
    licences = frame["licence"].fill_null(UNKNOWN).unique()
    wrong = [name for name in licences if not judge.permits(name)]
    gone = pl.col("licence").fill_null(UNKNOWN).is_in(wrong)
    return frame.with_columns(
        reason=pl.when(gone).then(pl.lit("licence")),
        rule=pl.when(gone).then(pl.lit(f"licence not in {', '.join(allow)}")),
        value=pl.when(gone).then(pl.col("licence").fill_null(UNKNOWN)),
    )
