"""peft's LoRA trained by the Hugging Face Trainer; with `compile`, through torch.compile."""

import sys
import tempfile

import torch
from lora import ROWS, STEPS, adapted, documents
from measure import Meter
from transformers import Trainer, TrainerCallback, TrainingArguments


class Measured(TrainerCallback):
    """Counts the tokens of each optimizer step."""

    def __init__(self, meter: Meter, tokens: int):
        self.meter, self.tokens = meter, tokens

    def on_step_end(self, args, state, control, **kwargs):
        self.meter.step(self.tokens)


def main() -> None:
    torch.set_num_threads(1)
    meter, rows = Meter(), documents()
    data = [{"input_ids": torch.tensor(row), "labels": torch.tensor(row)} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=ROWS,
            max_steps=STEPS,
            learning_rate=1e-3,
            optim="adamw_torch_fused",
            lr_scheduler_type="constant",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            logging_strategy="no",
            torch_compile="compile" in sys.argv,
        )
        trainer = Trainer(adapted(), arguments, train_dataset=data, callbacks=[Measured(meter, ROWS * len(rows[0]))])
        found = trainer.train()
    meter.report(loss=round(found.training_loss, 4))


if __name__ == "__main__":
    main()
