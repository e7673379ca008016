"""peft adapters as artifacts: written reproducibly, loaded onto the base that they were trained on, merged and verified."""

import hashlib
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.processor import store
from fmcycle.processor.chat import chat_ids
from fmcycle.processor.components import special_ids, tokenizer_of

BASE = "base.json"  # beside the adapter: fingerprint of the base's weights
CHAT = "chat"  # trainable_token_indices: the special tokens of the chat template
WRAPPERS = ("base_layer", "token_adapter", "original_module")  # name parts that peft puts before a weight of the base
LIMIT = 1e-3  # nats: largest divergence of the merged model's next-token distribution from the adapter's


def save(model, folder: str | Path) -> None:
    """Write the adapter of a peft model as an artifact; the same adapter has the same bytes."""
    with artifact.create(folder) as partial:
        write(model, partial)


def write(model, folder: Path) -> None:
    """Write the files of a peft model's adapter into `folder`.

    It removes what varies between runs: the base's path, peft's model card, and the hash order of sets.
    """
    model.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    config = artifact.read_json(folder / "adapter_config.json")
    config["base_model_name_or_path"] = None
    for name in ("target_modules", "exclude_modules"):
        if isinstance(config.get(name), list):
            config[name] = sorted(config[name])
    atomic.write_json(folder / "adapter_config.json", config)
    atomic.write_json(folder / BASE, {"sha256": fingerprint(model, config.get("bias") or "none")})


def merges(model) -> bool:
    """True if a peft model's adapter can be merged into the weights; a prefix or prompt can't."""
    return hasattr(model.base_model, "merge_and_unload")


def load(model, folder: str | Path):
    """Return `model` with the adapter in `folder`, trainable.

    Raises InputError if the adapter was trained on another base, or if its weights are not those that its config describes.
    """
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    folder = Path(folder)
    artifact.verify(folder)
    with store.library(f"{folder}: the adapter"):
        config = PeftConfig.from_pretrained(str(folder))
    have = fingerprint(model, getattr(config, "bias", "none"))
    wanted = artifact.read_json(folder / BASE, sha256=str)["sha256"] if (folder / BASE).is_file() else have  # only our adapters have BASE
    if wanted != have:
        raise InputError(
            f"{folder} was trained on a base with weights {wanted[:16]}, not on this one ({have[:16]}): give it its own base, "
            "model.base=FOLDER"
        )
    with store.library(f"{folder}: the adapter"):
        config.inference_mode = False
        adapted = get_peft_model(model, config)
        stored, expected = load_file(folder / "adapter_model.safetensors"), get_peft_model_state_dict(adapted)
    if different := sorted(stored.keys() ^ expected.keys()):
        kinds = {"missing": [name for name in different if name in expected], "unexpected": [name for name in different if name in stored]}
        raise InputError(f"{folder}/adapter_model.safetensors does not fit its base: {kinds}; make it again with the command that made it")
    set_peft_model_state_dict(adapted, stored)
    return adapted


def fingerprint(model, bias: str = "none") -> str:
    """Return the sha256 over names and values of the base weights that an adapter leaves unchanged; `model` may have the adapter on it.

    bias: of the adapter's config; unless it is none, the adapter trains biases of its base in place and stores them.
    """
    inner, adapters = (model.get_base_model(), {*model.peft_config}) if hasattr(model, "get_base_model") else (model, set())
    found, named = hashlib.sha256(), {}
    for name, weight in inner.named_parameters():
        parts = name.split(".")
        if not adapters & {*parts} and (bias == "none" or "bias" not in parts[-1]):
            named[".".join(part for part in parts if part not in WRAPPERS)] = weight
    for name, weight in sorted(named.items(), key=lambda item: item[0]):
        found.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        found.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


@torch.no_grad()
def merge(model):
    """Merge the adapter of a peft model in evaluation mode into the weights; return the plain model.

    Raises ValueError if the merged model's predictions differ from the adapter's by more than LIMIT, or equal the base's.
    """
    inputs = _probe(model)
    with model.disable_adapter():
        base = model(**inputs).logits
    adapted = model(**inputs).logits
    merged = model.merge_and_unload()
    found = merged(**inputs).logits
    if not torch.isfinite(found).all() or (far := _divergence(adapted, found)) > LIMIT:
        raise ValueError(f"the merged model's predictions are {far:.2g} nats from the adapter's, more than {LIMIT}: nothing is written")
    if torch.equal(base, found):
        raise ValueError("the adapter changes nothing: the merged model equals its base; raise optimizer.lr or budget.max_steps")
    return merged


def _probe(model) -> dict[str, torch.Tensor]:
    """Return fixed random tokens or images, to compare two states of a model on."""
    config, generator = model.config, torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    if model.get_base_model().main_input_name == "pixel_values":
        return {"pixel_values": torch.randn(2, config.num_channels, config.image_size, config.image_size, generator=generator).to(device)}
    return {"input_ids": torch.randint(0, config.vocab_size, (4, 64), generator=generator).to(device)}


def _divergence(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the largest Kullback-Leibler divergence over all positions, in nats."""
    p, q = (F.log_softmax(logits.cpu().double(), -1) for logits in (first, second))
    return float((p.exp() * (p - q)).sum(-1).max())


def with_tokens(strategy: dict, processor) -> dict:
    """Return `strategy`, config data, with trainable_token_indices as ids: "chat" becomes the special tokens of the chat template.

    processor: None while planning before it exists; "chat" then means no rows. Warns of ids that are no special tokens.
    Raises InputError for an id that the processor does not have.
    """
    config = strategy.get("peft_config") or {}
    asked = config.get("trainable_token_indices") if isinstance(config, dict) else None
    if not asked:
        return strategy
    if asked == CHAT:
        ids = chat_ids(processor) if processor is not None else []
        return strategy | {"peft_config": config | {"trainable_token_indices": ids or None}}
    if processor is not None:
        _check_tokens({index for rows in asked.values() for index in rows} if isinstance(asked, dict) else {*asked}, processor)
    return strategy


def _check_tokens(trained: set[int], processor) -> None:
    key, tokenizer = "strategy.peft_config.trainable_token_indices", tokenizer_of(processor)
    count = 0 if tokenizer is None else len(tokenizer)
    if outside := sorted(index for index in trained if not 0 <= index < count):
        raise InputError(f"{key} {outside}: the processor has {count} tokens only; choose {key}={CHAT} or ids of these")
    special = special_ids(processor)
    if ordinary := sorted(trained - special):
        names = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(ordinary)))
        warnings.warn(f"{key} trains {names} too; the special tokens of this processor are {sorted(special)}", stacklevel=2)


class Prompted(torch.nn.Module):
    """A language model with trained vectors: a prefix in the cache of every layer, or a prompt before the tokens.

    It is called like its base model, with or without a cache; logits are of the given tokens only. peft's own forward inserts the
    vectors again at each decoding step.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.config, self.generation_config = model.config, model.get_base_model().generation_config
        (self.vectors,) = {config.num_virtual_tokens for config in model.peft_config.values()}
        self.generate = model.generate

    @property
    def device(self) -> torch.device:
        """The device of the base model."""
        return self.model.get_base_model().device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the base model's weights."""
        return self.model.get_base_model().dtype

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, past_key_values=None, logits_to_keep=0, **more):
        """Return a transformers output whose cache holds the vectors. position_ids count the tokens only, not the vectors."""
        base = self.model.get_base_model()
        embedded = past_key_values is None and self.model.active_peft_config.peft_type != "PREFIX_TUNING"
        if position_ids is not None:
            own = torch.arange(self.vectors, device=position_ids.device).expand(len(position_ids), -1)
            more["position_ids"] = torch.cat([own, position_ids + self.vectors], 1) if embedded else position_ids + self.vectors
        if attention_mask is not None:
            ones = attention_mask.new_ones(len(attention_mask), self.vectors)
            attention_mask = torch.cat([ones, attention_mask], 1)
        given: dict = {"attention_mask": attention_mask, **more}
        if past_key_values is not None:
            return base(input_ids=input_ids, past_key_values=past_key_values, logits_to_keep=logits_to_keep, **given)
        learned = self.model.get_prompt(batch_size=len(input_ids))
        if not embedded:
            return base(input_ids=input_ids, past_key_values=learned, logits_to_keep=logits_to_keep, **given)
        tokens = base.get_input_embeddings()(input_ids)
        return base(
            inputs_embeds=torch.cat([learned.to(tokens.dtype), tokens], 1), logits_to_keep=logits_to_keep or tokens.shape[1], **given
        )
