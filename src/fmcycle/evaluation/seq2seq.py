"""BLEU, ROUGE-L and exact match of an encoder-decoder on held-out pairs, beside answers that need no model."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fmcycle.evaluation import control
from fmcycle.evaluation.figures import mean
from fmcycle.evaluation.generate import answers, asking
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.evaluation.instruction import asked, compared, figures, over_baseline, rouge_l, scores
from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class Seq2Seq:
    """Scores greedy answers to `limit` held-out rows. data: (split, processor) -> rows with `input_ids` and `decoder_labels`.

    `baseline/copy_...`: the same metrics with the input as the answer, `constant` and `nearest`: with an answer of at most `learned`
    training rows (`fmcycle.evaluation.control`). `rouge_l_gain`: this model's minus the copy's, `..._over_baseline`: minus the strongest's,
    by paired bootstrap.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 200
    max_new_tokens: PositiveInt = 96
    batch_size: PositiveInt = 32
    learned: PositiveInt = 5000
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0
    guardrail: dict | None = None
    stop: list[str] = field(default_factory=list)

    baselines = ("copy", "constant", "nearest", "chance")

    def __call__(self, model, processor) -> dict[str, float]:
        held_out = HeldOut(self.data, self.split, processor, self.limit).rows
        tokenizer = tokenizer_of(processor)
        read = [tokenizer.decode(each["input_ids"], skip_special_tokens=True).strip() for each in held_out]
        wanted = [tokenizer.decode(each["decoder_labels"], skip_special_tokens=True).strip() for each in held_out]
        prompts = [(text, each["input_ids"]) for text, each in zip(read, held_out, strict=True)]
        said = [answer.text for answer in answers(model, processor, prompts, **asking(self))]
        own = scores(said, wanted)
        train = self._spoken(HeldOut(self.data, "train", processor, self.learned).rows, tokenizer)
        others = {name: scores(texts, wanted) for name, texts in control.answers(train, self._spoken(held_out, tokenizer), rouge_l).items()}
        options = {"resamples": self.resamples, "seed": self.seed}
        metrics = figures("", own, **options) | over_baseline("", own, others, **options)
        for name, found in others.items():
            metrics |= figures(f"baseline/{name}_", found, **options)
        self.answered = compared(asked(read, wanted, said), own)
        return metrics | mean("rouge_l_gain", own["rouge_l"] - others["copy"]["rouge_l"], **options)

    @staticmethod
    def _spoken(rows: list[dict], tokenizer) -> list[dict]:
        """Return rows as conversations: the text that is read, and the expected one."""
        sides = [
            [tokenizer.decode(row[name], skip_special_tokens=True).strip() for name in ("input_ids", "decoder_labels")] for row in rows
        ]
        return [{"task": "", "messages": [{"content": one}, {"content": other}]} for one, other in sides]


def example() -> dict:
    """Return an encoder-decoder."""
    from transformers import T5Config, T5ForConditionalGeneration

    sizes: dict = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0, "eos_token_id": 5}
    model = T5ForConditionalGeneration(T5Config(vocab_size=300, pad_token_id=1, **sizes))
    return {"model": model, "option": "seq2seq_pairs", "data": {}, "settings": {"max_new_tokens": 6}}
