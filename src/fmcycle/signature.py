"""The snapshot of third-party constructors that a config may name: `python -m fmcycle.signature` makes signature.json under the lock."""

TARGETS = (
    "transformers.LlamaForCausalLM",
    "transformers.GPT2LMHeadModel",
    "peft.get_peft_model",
    "peft.LoraConfig",
    "lightning.pytorch.Trainer",
    "torch.optim.AdamW",
)
