"""Exact match of answers to held-out images or audio, beside the most frequent answer of the train split."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.errors import Refused
from fmcycle.evaluation import control
from fmcycle.evaluation.figures import rate
from fmcycle.evaluation.generate import answers, asking
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.evaluation.instruction import asked, compared
from fmcycle.model.inputs import batched, placed
from fmcycle.processor.components import ends, tokenizer_of
from fmcycle.ranges import PositiveInt
from fmcycle.serving.detokenize import guarded


@dataclass
class ExactMatch:
    """`exact_match`: share of held-out rows whose greedy answer equals the expected one.

    data: (split, processor) -> rows with `decoder_labels` (audio), or with `input_ids` and `labels` (an image and a conversation,
    cut before its first answer). `baseline/most_frequent_exact_match`: of the train split's most frequent answer;
    `exact_match_over_baseline`: the model minus that, paired.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 500
    max_new_tokens: PositiveInt = 24
    batch_size: PositiveInt = 32
    guardrail: dict | None = None

    baselines = ("most_frequent",)

    def __call__(self, model, processor) -> dict[str, float]:
        held, stop = HeldOut(self.data, self.split, processor, self.limit), ends(processor)
        often = Counter(tuple(expected(row, stop)) for row in HeldOut(self.data, "train", processor).rows).most_common(1)[0][0]
        tokenizer = tokenizer_of(processor)
        wanted = [tokenizer.decode(expected(row, stop)).strip() for row in held.rows]
        said = self.answers(model, processor, held)
        frequent = tokenizer.decode(often).strip()
        right = np.array([one == other for one, other in zip(said, wanted, strict=True)])
        prompts = [tokenizer.decode(prompt(row), skip_special_tokens=True).strip() for row in held.rows]
        self.answered = compared(asked(prompts, wanted, said), {"exact_match": right})
        base = np.array([frequent == each for each in wanted])
        over = control.over_strongest("exact_match", right, {"most_frequent": base})
        return rate("exact_match", right) | rate("baseline/most_frequent_exact_match", base) | over

    def answers(self, model, processor, held: HeldOut) -> list[str]:
        """Return the text of the greedy answer to each row."""
        if held.rows and "decoder_labels" in held.rows[0]:
            return self._heard(model, processor, held)
        tokenizer, before = tokenizer_of(processor), [prompt(row) for row in held.rows]
        prompts = [(tokenizer.decode(ids, skip_special_tokens=True), ids) for ids in before]
        seen = [{"pixel_values": pixels} for pixels in held.column("pixel_values")]
        return [answer.text.strip() for answer in answers(model, processor, prompts, seen=seen, **asking(self))]

    @torch.no_grad()
    def _heard(self, model, processor, held: HeldOut) -> list[str]:
        """Transcribe with the model's own `generate`, as the engine `speech` does: it forces and suppresses Whisper's tokens."""
        found, guards = [], (self.guardrail or {}).get("output") or []
        for part in batched([{"input_features": features} for features in held.column("input_features")], self.batch_size):
            inputs = placed(model, held.source.collate(part))
            found += model.generate(**inputs, max_new_tokens=self.max_new_tokens, do_sample=False).tolist()
        texts = [tokenizer_of(processor).decode(until(ids, ends(processor)), skip_special_tokens=True).strip() for ids in found]
        return [behind(text, guards) for text in texts]


def behind(text: str, guards: list[Callable[[str], str]]) -> str:
    """Return `text` as the guards let it through, or "" if one refuses: the server then answers with an error."""
    try:
        return guarded(text, guards)
    except Refused:
        return ""


def prompt(row: dict) -> list[int]:
    """Return the ids before the first answer; [] for audio rows."""
    if "decoder_labels" in row:
        return []
    return row["input_ids"][: next(place for place, label in enumerate(row["labels"]) if label != -100)]


def expected(row: dict, stop: set[int]) -> list[int]:
    """Return the ids of the first answer, without its end token."""
    if "decoder_labels" in row:
        return until(row["decoder_labels"], stop)
    return until(row["labels"][len(prompt(row)) :], stop)


def until(ids: list[int], stop: set[int]) -> list[int]:
    """Return the ids before the first one of `stop`."""
    return ids[: next((place for place, token in enumerate(ids) if token in stop), len(ids))]


def example() -> dict:
    """Return a model that answers questions about images."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    from fmcycle.config.example import SIZES, TOKENS
    from fmcycle.processor import image

    processor = image.example()["processor"]
    seen = CLIPVisionConfig(**SIZES, image_size=8, patch_size=4, num_channels=1)
    said = LlamaConfig(**SIZES, **TOKENS | {"vocab_size": len(processor.tokenizer)})
    joined = {"image_token_id": processor.image_token_id, "vision_feature_layer": -1, "vision_feature_select_strategy": "default"}
    model = LlavaForConditionalGeneration(LlavaConfig(vision_config=seen, text_config=said, **joined))
    return {"model": model, "processor": processor, "option": "picture_questions", "data": {}, "settings": {"max_new_tokens": 4}}
