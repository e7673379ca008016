"""A tiny model of each family with random weights and its processor, saved as an artifact: what engines and routes are tried on."""

from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import CLIPImageProcessorPil, ViTImageProcessorPil

from fmcycle.model import store as model_store
from fmcycle.processor import media
from fmcycle.processor.audio import transcript
from fmcycle.processor.bpe import bpe
from fmcycle.processor.chat import labelled

TEXT = "The bucket holds objects and the owner of the bucket may list them all. A user deletes what no other user needs."
TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
IMAGE = {"image_size": 16, "patch_size": 8}
LABELS = {"id2label": {0: "cat", 1: "dog", 2: "owl"}, "label2id": {"cat": 0, "dog": 1, "owl": 2}}
PNG = media.as_png(np.random.default_rng(0).uniform(-1, -0.2, (3, 20, 24)))
OTHER_PNG = media.as_png(np.random.default_rng(1).uniform(0.2, 1, (3, 20, 24)))
NAMES = ("A", "B")  # what the vision-language model says of them
ANSWERS = {  # what the talker knows by heart
    "Which calls?": "Use **put**:\n\n- `get` it\n- list it\n\n```py\nput(1)\n```",
    "Emoji?": "A tree 🌳 and 世界 here",
}
WAV = media.as_wav(0.4 * np.sin(np.arange(4000) * 0.3), 8000)


def tokenizer(*special):
    """A small BPE; `special`: tokens that it gets beside its own."""
    made = bpe([TEXT] * 20, vocab_size=320)
    made.add_tokens(list(special), special_tokens=True)
    return made


def pictures():
    """An image processor for 16 x 16."""
    return CLIPImageProcessorPil(size={"height": 16, "width": 16}, do_center_crop=False, do_convert_rgb=True)


def text_config(processor, **fields) -> dict:
    """What every model of text here is made of."""
    return TINY | {"vocab_size": len(processor), "max_position_embeddings": 64, "pad_token_id": processor.pad_token_id} | fields


def learnt(model, batch, steps=60):
    """`model` after some steps on one batch, which it then knows by heart."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model


def text_classifier():
    processor = tokenizer()
    config = transformers.BertConfig(**text_config(processor), **LABELS)
    return transformers.BertForSequenceClassification(config), processor


def image_classifier():
    return transformers.ViTForImageClassification(transformers.ViTConfig(**TINY, **IMAGE, **LABELS)), ViTImageProcessorPil(
        size={"height": 16, "width": 16}
    )


def audio_classifier():
    extractor = transformers.ASTFeatureExtractor(sampling_rate=16000, num_mel_bins=16, max_length=64)
    config = transformers.ASTConfig(**TINY, **LABELS, num_mel_bins=16, max_length=64, patch_size=8, frequency_stride=8, time_stride=8)
    return transformers.ASTForAudioClassification(config), extractor


def encoder():
    processor = tokenizer()
    return transformers.BertModel(transformers.BertConfig(**text_config(processor))), processor


def clip():
    processor = tokenizer()
    text = text_config(processor, bos_token_id=processor.bos_token_id, eos_token_id=processor.eos_token_id, projection_dim=24)
    config = transformers.CLIPConfig(text_config=text, vision_config=TINY | IMAGE | {"projection_dim": 24}, projection_dim=24)
    return transformers.CLIPModel(config), transformers.CLIPProcessor(pictures(), processor)


def masked_image():
    decoder = {"decoder_hidden_size": 16, "decoder_intermediate_size": 32, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    return transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**TINY, **IMAGE, **decoder)), pictures()


def seq2seq():
    processor = tokenizer()
    ids = {"pad_token_id": processor.pad_token_id, "eos_token_id": processor.eos_token_id, "decoder_start_token_id": processor.pad_token_id}
    config = transformers.T5Config(
        vocab_size=len(processor), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, n_positions=64, **ids
    )
    return transformers.T5ForConditionalGeneration(config), processor


def speech():
    processor = tokenizer()
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    ids = dict.fromkeys(("bos_token_id", "eos_token_id", "decoder_start_token_id"), processor.eos_token_id)
    config = transformers.WhisperConfig(
        vocab_size=len(processor),
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_mel_bins=16,
        max_source_positions=50,
        max_target_positions=32,
        pad_token_id=processor.pad_token_id,
        begin_suppress_tokens=None,
        **sizes,
        **ids,
    )
    extractor = transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1)
    made = transformers.WhisperProcessor(extractor, processor)
    batch = {name: torch.tensor(values)[None] for name, values in transcript({"media": WAV, "text": "the bucket"}, made).items()}
    batch["labels"] = batch.pop("decoder_labels")
    return learnt(transformers.WhisperForConditionalGeneration(config), batch), made


def vision_language():
    text = tokenizer("<image>")
    processor = transformers.LlavaProcessor(
        pictures(), text, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1, image_token="<image>"
    )
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**TINY, **IMAGE),
        text_config=transformers.LlamaConfig(**text_config(text)),
        image_token_id=processor.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    model = transformers.LlavaForConditionalGeneration(config)
    question = {"role": "user", "content": "name it", "images": 1}
    ids, labels = zip(*[labelled(processor, [question, {"role": "assistant", "content": name}]) for name in NAMES], strict=True)
    images = [media.picture(each) for each in (PNG, OTHER_PNG)]
    pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    return learnt(model, {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "pixel_values": pixels}), processor


def decoder():
    processor = tokenizer()
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**text_config(processor))), processor


def talker():
    processor = tokenizer()  # most characters of the answers are several tokens
    config = transformers.LlamaConfig(**text_config(processor, max_position_embeddings=128))
    talks = [[{"role": "user", "content": asked}, {"role": "assistant", "content": said}] for asked, said in ANSWERS.items()]
    rows = [labelled(processor, talk) for talk in talks]
    longest = max(len(ids) for ids, _ in rows)
    ids, labels = (torch.tensor([row[place] + [fill] * (longest - len(row[0])) for row in rows]) for place, fill in enumerate((0, -100)))
    return learnt(transformers.LlamaForCausalLM(config), {"input_ids": ids, "labels": labels}, 120), processor


def pixel_decoder():
    config = transformers.GPT2Config(vocab_size=5, n_embd=32, n_layer=2, n_head=2, n_positions=49, bos_token_id=4, eos_token_id=4)
    half = [0.5] * 3
    return transformers.GPT2LMHeadModel(config), ViTImageProcessorPil(size={"height": 4, "width": 4}, image_mean=half, image_std=half)


def diffusion():
    import diffusers

    from fmcycle.model import diffusion as pipeline

    denoiser = diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        num_class_embeds=4,
    )
    model = pipeline.Diffusion(denoiser, diffusers.DDPMScheduler(num_train_timesteps=50))
    model.config.id2label = LABELS["id2label"]
    return model, ViTImageProcessorPil(size={"height": 8, "width": 8})


def text_diffusion():
    import diffusers

    from fmcycle.model import diffusion as pipeline

    processor = tokenizer()
    encoder = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=len(processor), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
    )
    denoiser = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=3, out_channels=3, num_layers=2, sample_size=8, patch_size=2,
        cross_attention_dim=16, caption_channels=32, use_additional_conditions=False,
    )  # fmt: skip
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # as it is made, its last layer is zero
    return pipeline.Diffusion(denoiser, diffusers.DDPMScheduler(num_train_timesteps=50), encoder), processor


def save(family: str, folder: Path) -> Path:
    """`folder` with the model of `family`, one of the functions above."""
    torch.manual_seed(0)
    model, processor = globals()[family]()
    model_store.save_model(model, processor, folder)
    return folder
