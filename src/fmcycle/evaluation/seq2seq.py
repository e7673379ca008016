"""BLEU, ROUGE-L and exact match of an encoder-decoder on held-out pairs, beside a copy of the input."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fmcycle.evaluation.figures import mean
from fmcycle.evaluation.generate import answers, asking
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.evaluation.instruction import asked, compared, figures, scores
from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class Seq2Seq:
    """Scores greedy answers to `limit` held-out rows. data: (split, processor) -> rows with `input_ids` and `decoder_labels`.

    `baseline/...`: the same metrics with the input as the answer; `..._gain`: this model's minus those, by paired bootstrap.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 200
    max_new_tokens: PositiveInt = 96
    batch_size: PositiveInt = 32
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0
    guardrail: dict | None = None
    stop: list[str] = field(default_factory=list)

    def __call__(self, model, processor) -> dict[str, float]:
        held_out = HeldOut(self.data, self.split, processor, self.limit).rows
        tokenizer = tokenizer_of(processor)
        read = [tokenizer.decode(each["input_ids"], skip_special_tokens=True).strip() for each in held_out]
        wanted = [tokenizer.decode(each["decoder_labels"], skip_special_tokens=True).strip() for each in held_out]
        prompts = [(text, each["input_ids"]) for text, each in zip(read, held_out, strict=True)]
        said = [answer.text for answer in answers(model, processor, prompts, **asking(self))]
        own, copied = scores(said, wanted), scores(read, wanted)
        options = {"resamples": self.resamples, "seed": self.seed}
        gain = mean("rouge_l_gain", own["rouge_l"] - copied["rouge_l"], **options)
        self.answered = compared(asked(read, wanted, said), own)
        return figures("", own, **options) | figures("baseline/copy_", copied, **options) | gain


def example() -> dict:
    """Return an encoder-decoder."""
    from transformers import T5Config, T5ForConditionalGeneration

    sizes: dict = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0, "eos_token_id": 5}
    model = T5ForConditionalGeneration(T5Config(vocab_size=300, pad_token_id=1, **sizes))
    return {"model": model, "option": "seq2seq_pairs", "data": {}, "settings": {"max_new_tokens": 6}}
