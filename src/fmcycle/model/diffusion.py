"""A diffusion model as one module: a denoiser, its noise schedule and, if texts condition it, a text encoder.

It is saved in the layout of diffusers' pipelines, a folder for each component, so that diffusers and transformers load it unaided.
"""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.model.inputs import placed
from fmcycle.processor import store

INDEX = "model_index.json"
LIBRARIES = ("diffusers", "transformers")
NAMES = {"denoiser": ("unet", "transformer"), "text_encoder": ("text_encoder",)}  # our name: folder names of diffusers


class Diffusion(nn.Module):
    """`denoiser(x_t, t, condition)` predicts what `scheduler.config.prediction_type` says (epsilon, v_prediction or sample).

    denoiser: a UNet2DModel, conditioned by class if it has `num_class_embeds` (the last class means no class), or a
    PixArtTransformer2DModel with `text_encoder`, conditioned by `input_ids` (B, L); a row of padding only means no
    text. scheduler: a diffusers scheduler. Source: Ho et al., DDPM (2020); guidance: Ho and Salimans (2022).
    """

    def __init__(self, denoiser: nn.Module, scheduler: Any, text_encoder: nn.Module | None = None):
        super().__init__()
        self.denoiser, self.scheduler, self.text_encoder = denoiser, scheduler, text_encoder
        self.config = SimpleNamespace(model_type="diffusion", pad_token_id=None, id2label=None)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next(self.parameters()).dtype

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a sample."""
        config: Any = self.denoiser.config
        return config.in_channels, config.sample_size, config.sample_size

    @property
    def classes(self) -> int | None:
        """Number of classes that condition the model; None if classes do not."""
        count = getattr(self.denoiser.config, "num_class_embeds", None)
        return None if count is None else count - 1

    @property
    def padding(self) -> int:
        """The padding token of texts; 0 if the text encoder names none."""
        found = None if self.text_encoder is None else getattr(self.text_encoder.config, "pad_token_id", None)
        return 0 if found is None else found

    def forward(self, noisy: Tensor, timestep: Tensor, labels: Tensor | None = None, input_ids: Tensor | None = None) -> Tensor:
        """Return the prediction for `noisy` (B, C, H, W) at `timestep` (B,), given `labels` (B,), `input_ids` (B, L) or neither."""
        if self.text_encoder is None:
            given = {} if self.classes is None else {"class_labels": labels}
            return self.denoiser(noisy, timestep, **given).sample
        assert input_ids is not None
        mask = (input_ids != self.padding).long()
        mask[:, 0] = 1  # attention over zero tokens is undefined
        hidden = self.text_encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        size = {"resolution": None, "aspect_ratio": None}
        out = self.denoiser(noisy, hidden, timestep, added_cond_kwargs=size, encoder_attention_mask=mask).sample
        return out[:, : noisy.shape[1]]  # further channels hold a learned variance

    def nothing(self, condition: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the unconditional counterpart of `condition` ("labels" or "input_ids"), in the same shapes."""
        empty = {"labels": self.classes or 0, "input_ids": self.padding}
        return {name: torch.full_like(value, empty[name]) for name, value in condition.items()}

    @torch.no_grad()
    def sample(
        self, count: int, condition: dict[str, Tensor], *, steps: int = 50, guidance: float = 2.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return samples (count, C, H, W) in [-1, 1] by DDIM (Song et al., 2021) in `steps` steps.

        condition: {"labels": (count,)} or {"input_ids": (count, L)} or {}; guidance 1: none, higher: closer to the condition.
        generator: a CPU generator.
        """
        from diffusers import DDIMScheduler

        schedule = DDIMScheduler.from_config(self.scheduler.config, clip_sample=True)
        schedule.set_timesteps(steps)
        x = torch.randn(count, *self.shape, generator=generator).to(self.device)  # drawn on the CPU: the same image on every device
        condition = placed(self, condition)
        free = self.nothing(condition)
        for t in schedule.timesteps:
            at = torch.full((count,), int(t), device=self.device)
            predicted = self(x.to(self.dtype), at, **condition).float()
            if condition and guidance != 1:
                without = self(x.to(self.dtype), at, **free).float()
                predicted = without + guidance * (predicted - without)
            # recompute the noise from the clipped image: under strong guidance the two would diverge over the steps
            x = schedule.step(predicted, t, x, use_clipped_model_output=True).prev_sample
        return x.clamp(-1, 1)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the components and `model_index.json`."""
        folder = Path(folder)
        name = "unet" if self.text_encoder is None else "transformer"
        parts = {name: self.denoiser, "scheduler": self.scheduler} | (
            {} if self.text_encoder is None else {"text_encoder": self.text_encoder}
        )
        for part, component in parts.items():
            component.save_pretrained(folder / part)
        import diffusers

        index: dict[str, Any] = {"_class_name": "DDPMPipeline" if name == "unet" else "PixArtAlphaPipeline"}
        index |= {"_diffusers_version": diffusers.__version__}
        index |= {part: [type(component).__module__.split(".")[0], type(component).__name__] for part, component in parts.items()}
        if self.text_encoder is not None:
            index |= {"vae": [None, None], "tokenizer": ["transformers", "PreTrainedTokenizerFast"]}
        if self.config.id2label:
            index["id2label"] = self.config.id2label
        atomic.write_json(folder / INDEX, index)


def is_pipeline(folder: str | Path) -> bool:
    """True if `folder` holds a diffusers pipeline."""
    return (Path(folder) / INDEX).is_file()


def folder_of(folder: str | Path, name: str) -> Path | None:
    """Return the subfolder of component `name` (a key of NAMES); None if there is none."""
    return next((Path(folder) / part for part in NAMES[name] if (Path(folder) / part).is_dir()), None)


def load(folder: str | Path, *, weights: bool = True) -> Diffusion:
    """Return the diffusion model in `folder`; `weights` false: its architecture only. Raises InputError for an unknown component."""
    folder = Path(folder)
    index = artifact.read_json(folder / INDEX)
    parts = {}
    for name in ("unet", "transformer", "scheduler", "text_encoder"):
        if name not in index:
            continue
        entry = index[name] if isinstance(index[name], list) and len(index[name]) == 2 else [None, None]
        library, kind = entry
        if library not in LIBRARIES:
            raise InputError(f"{folder / INDEX}: {name} is of {library}; components must be of {' or '.join(LIBRARIES)}")
        constructor = getattr(importlib.import_module(library), kind, None) if isinstance(kind, str) else None
        if not hasattr(constructor, "from_pretrained"):
            raise InputError(f"{folder / INDEX}: {name} is a {kind}, which {library} does not have; make the model again")
        with store.library(f"{folder / name}: the component"):
            parts[name] = component(constructor, folder / name, weights)
    if "scheduler" not in parts or not ({"unet", "transformer"} & set(parts)):
        raise InputError(f"{folder / INDEX}: names no scheduler, or neither unet nor transformer; make the model again")
    model = Diffusion(parts.get("unet") or parts["transformer"], parts["scheduler"], parts.get("text_encoder"))
    names = index.get("id2label")
    if names and not (isinstance(names, dict) and all(key.isdigit() for key in names)):
        raise InputError(f"{folder / INDEX}: id2label must map numbers to names; make the model again")
    model.config.id2label = {int(key): value for key, value in names.items()} if names else None
    return model


def component(constructor: Any, folder: Path, weights: bool) -> Any:
    """Return one component. Raises InputError if a weight is missing or unexpected, instead of initialising it at random."""
    if not issubclass(constructor, nn.Module):
        return constructor.from_pretrained(str(folder), local_files_only=True)
    if not weights and hasattr(constructor, "config_class") and constructor.config_class is not None:
        return constructor(constructor.config_class.from_pretrained(str(folder), local_files_only=True))
    if not weights:
        return constructor.from_config(artifact.read_json(folder / "config.json"))
    model, report = constructor.from_pretrained(str(folder), local_files_only=True, output_loading_info=True)
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    if wrong := {kind: sorted(map(str, report[kind])) for kind in kinds if report.get(kind)}:
        raise InputError(f"{folder}: weights do not fit the config: {wrong}")
    return model
