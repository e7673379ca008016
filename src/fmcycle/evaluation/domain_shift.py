"""Effect of continued pretraining inside and outside a domain: bits per byte before and after, paired by document."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from fmcycle.errors import InputError
from fmcycle.evaluation import need
from fmcycle.evaluation.bits_per_byte import check_context, documents, in_bits, token_losses
from fmcycle.evaluation.figures import mean
from fmcycle.evaluation.held_out import digest
from fmcycle.model import store as model_store
from fmcycle.ranges import ExistingPath, NonNegativeInt, PositiveInt


@dataclass
class DomainShift:
    """Bits per byte of held-out documents of the domain and of all others, under the model and under `reference`, its initial weights.

    domain: a documents table, whose rows that match `where` ({column: values}) are the domain; general: a table whose other rows are
    the rest. `domain_fall` and `general_rise` are the differences, by paired bootstrap over documents, for a gate to bound.
    """

    domain: ExistingPath
    general: ExistingPath
    reference: ExistingPath
    where: dict | None = field(default_factory=dict)
    split: str = "test"
    limit: PositiveInt = 150
    context: PositiveInt | None = None
    batch_size: PositiveInt = 16
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    baselines = "none: both differences are paired with the model before"

    def check(self, model, processor) -> str:
        """Return "". Raises InputError if a side has no documents, or the model does not read `context` tokens."""
        need.writes(model)
        check_context(model, self.context)
        for path, inside in ((self.domain, True), (self.general, False)):
            self.chosen(path, inside)
        return ""

    def __call__(self, model, processor) -> dict[str, float]:
        texts = {"domain": self.chosen(self.domain, True), "general": self.chosen(self.general, False)}
        before = model_store.load_model(self.reference, model.device, model.dtype)[0]
        metrics: dict[str, float] = {}
        options = {"resamples": self.resamples, "seed": self.seed}
        for name, each in texts.items():
            sizes = [len(text.encode()) for text in each]
            now, then = (self.bits(one, processor, each) for one in (model, before))
            metrics |= mean(f"{name}_bits_per_byte", now, sizes, **options) | mean(
                f"reference/{name}_bits_per_byte", then, sizes, **options
            )
            change, bits = ("domain_fall", then - now) if name == "domain" else ("general_rise", now - then)
            metrics |= mean(change, bits, sizes, **options)
        return metrics

    def chosen(self, path: str, inside: bool) -> list[str]:
        """Return the texts of the first `limit` held-out documents by digest, inside or outside the domain."""
        frame = pl.scan_parquet(path).filter(pl.col("split") == self.split).collect()
        if unknown := [name for name in self.where or {} if name not in frame.columns]:
            raise InputError(f"evaluation.domain_shift.where.{unknown[0]}: {path} has no such column; it has {', '.join(frame.columns)}")
        if self.where:
            within = pl.all_horizontal(pl.col(name).is_in(values) for name, values in self.where.items())
            frame = frame.filter(within if inside else ~within)
        rows = sorted(frame.select("id", "text").to_dicts(), key=digest)[: self.limit]
        if not rows:
            side = "in" if inside else "outside"
            raise InputError(
                f"evaluation.domain_shift: no held-out document of {path} lies {side} the domain; correct evaluation.domain_shift.where"
            )
        return [each["text"] for each in rows]

    def bits(self, model, processor, texts: list[str]) -> np.ndarray:
        """Return the bits of each text: (texts,)."""
        context = check_context(model, self.context)
        sequences = documents(processor, texts)
        return in_bits(token_losses(model, sequences, context=context, stride=(context + 1) // 2, batch_size=self.batch_size))
