"""TRL's SFTTrainer with peft's LoRA: `packed` (its best-fit packing) or `padded`; `one`: a row at a time, accumulated to the same batch."""

import sys
import tempfile

import torch
from datasets import Dataset
from lora import adapted
from measure import Meter
from sft import LENGTH, ROWS, SIZES, STEPS, conversations
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, TrainerCallback
from trl import SFTConfig, SFTTrainer


class Measured(SFTTrainer):
    """Counts the real tokens of each optimizer step."""

    seen = 0

    def training_step(self, model, inputs, *args, **kwargs):
        mask = inputs.get("attention_mask")
        self.seen += int(inputs["input_ids"].numel() if mask is None else mask.sum())
        return super().training_step(model, inputs, *args, **kwargs)


class Step(TrainerCallback):
    """Tells the meter where an optimizer step ends."""

    def __init__(self, meter: Meter):
        self.meter = meter

    def on_step_end(self, args, state, control, **kwargs):
        self.meter.step(self.trainer.seen)
        self.trainer.seen = 0


def tokenizer() -> PreTrainedTokenizerFast:
    """One that never has anything to do: the rows are token ids already."""
    words = {f"t{index}": index for index in range(SIZES["vocab_size"])}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="t1")), pad_token="t0", eos_token="t2", unk_token="t1"
    )


def main() -> None:
    torch.set_num_threads(1)
    packed, one = "packed" in sys.argv, "one" in sys.argv
    step = Step(Meter())
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder,
            packing=packed,
            packing_strategy="bfd",
            max_length=LENGTH,
            per_device_train_batch_size=1 if one else ROWS,
            gradient_accumulation_steps=ROWS if one else 1,
            max_steps=STEPS if packed else 2 * STEPS,
            learning_rate=1e-3,
            optim="adamw_torch_fused",
            lr_scheduler_type="constant",
            gradient_checkpointing=False,
            bf16=False,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            logging_strategy="no",
        )
        step.trainer = Measured(
            adapted(SIZES),
            arguments,
            train_dataset=Dataset.from_dict({"input_ids": conversations()}),
            processing_class=tokenizer(),
            callbacks=[step],
        )
        found = step.trainer.train()
    step.meter.report(loss=round(found.training_loss, 4))


if __name__ == "__main__":
    main()
