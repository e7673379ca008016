"""A transformers Llama in a plain LightningModule with fused AdamW and clipping; with `compiled`, torch.compile."""

import logging
import os
import sys

import lightning.pytorch as pl
import torch
from measure import Meter
from pretrain import WARM, llama, tokens, workload
from torch.utils.data import DataLoader, TensorDataset


class Plain(pl.LightningModule):
    """The model's own loss on (B, T) tokens."""

    def __init__(self, model, meter: Meter):
        super().__init__()
        self.model, self.meter = model, meter

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def training_step(self, batch, batch_idx):
        return self.model(input_ids=batch[0], labels=batch[0], use_cache=False).loss

    def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
        self.meter.step(batch[0].numel())


def main() -> None:
    size, meter = workload(), Meter(WARM)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    model = llama(size).train()
    if "compiled" in sys.argv:
        model.compile()
    ids = torch.from_numpy(tokens(size)[:-1].astype("int64")).view(-1, size["length"])
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=size["steps"],
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Plain(model, meter), DataLoader(TensorDataset(ids), batch_size=size["rows"]))
    meter.report()


if __name__ == "__main__":
    main()
