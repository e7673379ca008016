"""The forms in which well-known chat models write a conversation, each with a tiny tokenizer that has its special tokens."""

from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = [f"What does gadget {i} do in the morning? Gadget {i} warms up for {i + 3} seconds. system user assistant" for i in range(150)]
PIECES = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|\s?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"
STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
)
SYSTEM_FIRST = "{% set system = messages[0].content if messages and messages[0].role == 'system' else '' %}"
REST = "{% set messages = messages[1:] if system else messages %}"


@dataclass(frozen=True)
class Form:
    """template: jinja; special: the tokens that it writes, and others of its tokenizer; ordinary: added, but not special.

    end: what ends an answer; eos: what ends a text; stood: what generation_config of such a folder has; system: what becomes of a system
    message ("kept" or "refused"); strict: two messages of one role in a row are refused; blanks: words are SentencePiece's.
    """

    template: str
    special: tuple[str, ...]
    end: str
    eos: str
    bos: str | None = None
    ordinary: tuple[str, ...] = ()
    stood: tuple[str, ...] = ()
    system: str = "kept"
    strict: bool = False
    blanks: bool = False


def _chatml(default: str = "") -> str:
    first = f"{{% if messages and messages[0].role != 'system' %}}<|im_start|>system\n{default}<|im_end|>\n{{% endif %}}" if default else ""
    return (
        first + "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


THOUGHTS = (
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% set said = m.content %}"
    "{% if m.role == 'assistant' %}{% set thought = '' %}{% if '</think>' in said %}"
    "{% set thought = said.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{% if loop.index0 > ns.last %}{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}{% endif %}"
    "{{ said + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_2 = (
    SYSTEM_FIRST + REST + STRICT + "{% set said = ('<<SYS>>\n' + system + '\n<</SYS>>\n\n' if loop.first and system else '') + m.content %}"
    "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + said.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + said.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + (m.content | trim) + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA_TURNS = (
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + before + (m.content | trim) + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA_2 = (
    "{{ bos_token }}{% if messages and messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% set before = '' %}" + STRICT + GEMMA_TURNS
)
GEMMA_3 = (
    "{{ bos_token }}" + SYSTEM_FIRST + REST + STRICT + "{% set before = system + '\n\n' if loop.first and system else '' %}" + GEMMA_TURNS
)
MISTRAL = (
    "{{ bos_token }}"
    + SYSTEM_FIRST
    + REST
    + "{% set asked = messages | selectattr('role', 'eq', 'user') | list %}"
    + STRICT
    + "{% if m.role == 'user' %}{{ '[INST] ' + (system + '\n\n' if system and m == asked[-1] else '') + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
PHI_3 = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
PHI_4 = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
COMMAND_R = (
    "{{ bos_token }}{% set names = {'system': 'SYSTEM', 'user': 'USER', 'assistant': 'CHATBOT'} %}{% for m in messages %}"
    "{{ '<|START_OF_TURN_TOKEN|><|' + names[m.role] + '_TOKEN|>' + m.content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)
GRANITE = (
    "{% for m in messages %}{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}" + SYSTEM_FIRST + "{{ system }}{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}"
    "{% elif m.role == 'assistant' %}{{ '<｜Assistant｜>' + m.content + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"
)
OLMO_2 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content }}"
    "{% if m.role != 'assistant' %}{{ '\n' }}{% else %}{{ eos_token }}{% if not loop.last %}{{ '\n' }}{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
GPT_OSS = (
    "<|start|>system<|message|>Reasoning: low<|end|>{% for m in messages %}"
    "{% if m.role == 'assistant' %}{{ '<|start|>assistant<|channel|>final<|message|>' + m.content }}"
    "{{ '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}"
    "{% else %}{{ '<|start|>' + ('developer' if m.role == 'system' else 'user') + '<|message|>' + m.content + '<|end|>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TURN = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")
COHERE = tuple(f"<|{name}_TOKEN|>" for name in ("START_OF_TURN", "END_OF_TURN", "SYSTEM", "USER", "CHATBOT"))
FORMS = {
    "llama_2": Form(LLAMA_2, ("<unk>", "<s>", "</s>"), "</s>", "</s>", "<s>", strict=True, blanks=True),
    "llama_3": Form(
        LLAMA_3, ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"),
        "<|eot_id|>", "<|end_of_text|>", "<|begin_of_text|>", stood=("<|end_of_text|>", "<|eom_id|>"),
    ),
    "qwen_2": Form(_chatml("You are a helpful assistant."), IM, "<|im_end|>", "<|im_end|>", stood=("<|im_end|>", "<|endoftext|>")),
    "qwen_2.5": Form(_chatml("You are Qwen."), IM, "<|im_end|>", "<|endoftext|>", stood=("<|endoftext|>",)),
    "qwen_3": Form(THOUGHTS, IM, "<|im_end|>", "<|im_end|>", ordinary=("<think>", "</think>"), stood=("<|im_end|>", "<|endoftext|>")),
    "gemma_2": Form(GEMMA_2, TURN, "<end_of_turn>", "<eos>", "<bos>", ("\n", "\n\n"), ("<eos>",), system="refused", strict=True),
    "gemma_3": Form(GEMMA_3, TURN, "<end_of_turn>", "<eos>", "<bos>", ("\n", "\n\n"), ("<eos>", "<end_of_turn>"), strict=True),
    "mistral": Form(MISTRAL, ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), "</s>", "</s>", "<s>", strict=True, blanks=True),
    "phi_3": Form(PHI_3, ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"), "<|end|>", "<|endoftext|>"),
    "phi_4": Form(PHI_4, (*IM, "<|im_sep|>"), "<|im_end|>", "<|endoftext|>", stood=("<|endoftext|>",)),
    "command_r": Form(COMMAND_R, ("<PAD>", "<BOS_TOKEN>", *COHERE), "<|END_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<BOS_TOKEN>"),
    "granite": Form(GRANITE, ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>"), "<|end_of_text|>", "<|end_of_text|>"),
    "deepseek": Form(
        DEEPSEEK, ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
        "<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>",
    ),
    "olmo_2": Form(OLMO_2, ("<|endoftext|>", "<|pad|>"), "<|endoftext|>", "<|endoftext|>", "<|endoftext|>"),
    "smollm": Form(_chatml("You are SmolLM."), IM, "<|im_end|>", "<|im_end|>", "<|im_start|>"),
    "chatml": Form(_chatml(), IM[1:], "<|im_end|>", "</s>", ordinary=("</s>",)),
    "gpt_oss": Form(
        GPT_OSS, ("<|endoftext|>", "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"),
        "<|return|>", "<|return|>", stood=("<|return|>", "<|endoftext|>", "<|call|>"),
    ),
}  # fmt: skip


def tokenizer(form: Form) -> PreTrainedTokenizerFast:
    """A BPE of about 400 tokens over bytes, or over SentencePiece's blanks, with the tokens and the template of `form`."""
    made = Tokenizer(models.BPE(byte_fallback=form.blanks, unk_token="<unk>" if form.blanks else None))
    if form.blanks:
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        made.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")  # no piece holds two words
        alphabet, first = [], [*form.special, *(f"<0x{byte:02X}>" for byte in range(256))]
    else:
        split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
        made.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        made.decoder = decoders.ByteLevel()
        alphabet, first = pre_tokenizers.ByteLevel.alphabet(), list(form.special)
    trainer = trainers.BpeTrainer(vocab_size=len(first) + 400, special_tokens=first, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(TEXT, trainer)
    if form.blanks:
        made.pre_tokenizer = None
    made.add_tokens(list(form.ordinary))
    names = {name: text for name, text in (("bos_token", form.bos), ("unk_token", "<unk>" if form.blanks else None)) if text}
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=form.eos,
        pad_token=form.special[0],
        chat_template=form.template,
        clean_up_tokenization_spaces=False,
        **names,
    )
