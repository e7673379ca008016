"""What an encoder-decoder says to the first text of held-out pairs: BLEU, ROUGE-L and exact match, beside a copy of the input."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from fmcycle.evaluation.figures import mean
from fmcycle.evaluation.instruction import figures, scores
from fmcycle.processor.components import pad, tokenizer_of
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class Pair:
    """Greedy answers to `limit` held-out rows. data: (split, processor) -> rows with `input_ids` and `decoder_labels`.

    `baseline/...`: the same figures for the input itself as the answer; `..._gain`: this model's minus those, by paired bootstrap.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 200
    max_new_tokens: PositiveInt = 96
    batch_size: PositiveInt = 32
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    def __call__(self, model, processor) -> dict[str, float]:
        rows = self.data(self.split, processor)
        held_out = [rows[index] for index in range(min(self.limit, len(rows)))]
        tokenizer = tokenizer_of(processor)
        read = [tokenizer.decode(each["input_ids"], skip_special_tokens=True).strip() for each in held_out]
        wanted = [tokenizer.decode(each["decoder_labels"], skip_special_tokens=True).strip() for each in held_out]
        own, copied = scores(self.answers(model, processor, held_out), wanted), scores(read, wanted)
        options = {"resamples": self.resamples, "seed": self.seed}
        gain = mean("rouge_l_gain", own["rouge_l"] - copied["rouge_l"], **options)
        return figures("", own, **options) | figures("baseline/copy_", copied, **options) | gain

    @torch.no_grad()
    def answers(self, model, processor, rows: list[dict]) -> list[str]:
        """The greedy answer to each row."""
        fill, found = pad(processor), []
        for begin in range(0, len(rows), self.batch_size):
            given = [torch.tensor(each["input_ids"]) for each in rows[begin : begin + self.batch_size]]
            ids = torch.nn.utils.rnn.pad_sequence(given, batch_first=True, padding_value=fill).to(model.device)
            made = model.generate(input_ids=ids, attention_mask=(ids != fill).long(), max_new_tokens=self.max_new_tokens, do_sample=False)
            found += tokenizer_of(processor).batch_decode(made, skip_special_tokens=True)
        return [text.strip() for text in found]
