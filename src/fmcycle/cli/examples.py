"""An example of each verb, for its help."""

WORDS = {  # behind `fmcycle VERB`
    "collect": "'source=[bible,sympy]'",
    "curate": "inputs.data=texts out=runs/mine",
    "processor": "processor.vocab_size=4096",
    "tokens": "max_tokens=1048576",
    "convert": "model=smollm2_135m",
    "pretrain": "model=llama_tiny budget.max_steps=100",
    "finetune": "strategy=full optimizer.lr=3e-4",
    "align": "objective.beta=0.3",
    "select": "trials=4",
    "compress": "compress=int8",
    "evaluate": "'evaluation=[bits_per_byte,instruction]'",
    "package": "gate=none",
    "monitor": "min_interactions=10",
    "continue_pretrain": "budget.max_steps=100",
    "evaluate_on": "inputs.model=models/mine inputs.examples=images data.classes=label",
    "train": "model=llama_small strategy=lora",
    "plan": "finetune model=smollm2_135m",
    "lineage": "artifacts/evaluate",
    "runs": "runs/finetune/one runs/finetune/two",
    "models": "json",
    "trace": "rule 'near duplicate'",
    "forget": "--match 'jane@example.com'",
    "fetch": "model hub:OWNER/NAME",
    "push": "artifacts/finetune hub:OWNER/NAME --dry-run",
    "control": "finetune budget.max_steps=100",
    "report": "artifacts/evaluate",
    "serve": "models/mine --port 3001",
    "chat": "models/mine --max-tokens 200",
    "compose": "selection=params.yaml",
    "gate": "artifacts/package",
    "deploy": "deployed/old/TAG",
    "feedback": "export",
    "init": "--template classifier mine",
    "schema": "schemas",
    "doctor": "",
    "completion": "bash",
}


def of(verb: str, program: str) -> str:
    """Return the example of a verb, in the lines that its help shows; "" for a verb of a user's own package."""
    return f"example:\n  {program} {WORDS[verb]}".rstrip() if verb in WORDS else ""
