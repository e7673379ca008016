"""A transformers Llama under the Hugging Face Trainer with fused AdamW; with `compiled`, through its torch_compile."""

import os
import sys
import tempfile

import torch
from measure import Meter
from pretrain import WARM, llama, tokens, workload
from transformers import Trainer, TrainerCallback, TrainingArguments


class Measured(TrainerCallback):
    """Counts the tokens of each optimizer step."""

    def __init__(self, meter: Meter, count: int):
        self.meter, self.count = meter, count

    def on_step_end(self, args, state, control, **kwargs):
        self.meter.step(self.count)


def main() -> None:
    size, meter = workload(), Meter(WARM)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    ids = torch.from_numpy(tokens(size)[:-1].astype("int64")).view(-1, size["length"])
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=size["rows"],
            max_steps=size["steps"],
            learning_rate=1e-3,
            weight_decay=0.1,
            optim="adamw_torch_fused",
            lr_scheduler_type="constant",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            logging_strategy="no",
            torch_compile="compiled" in sys.argv,
        )
        rows = [{"input_ids": row, "labels": row} for row in ids]
        found = Trainer(llama(size), arguments, train_dataset=rows, callbacks=[Measured(meter, size["rows"] * size["length"])]).train()
    meter.report(loss=round(found.training_loss, 4))


if __name__ == "__main__":
    main()
