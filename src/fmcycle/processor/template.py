"""What a chat template writes: the text of a conversation, where each content ends in it, and the token that ends an answer's turn."""

import functools
import re
from dataclasses import dataclass
from typing import Any

from fmcycle.errors import InputError

MARK = "\U0010fffd"  # a private-use character, set behind a content while the template is asked what it writes there


@dataclass(frozen=True)
class Written:
    """A rendered conversation. `ends`: where each message's content ends in `text`, white space behind it left out.

    quoted: special tokens inside contents stand between transformers' control marks, and `encode` makes plain text of them.
    """

    tokenizer: Any
    text: str
    ends: list[int]
    quoted: bool

    def encode(self, until: int | None = None) -> list[int]:
        """Return the token ids of the text, or of its first `until` characters."""
        if self.quoted:
            from transformers.utils.chat_template_utils import encode_marked_chat

            return encode_marked_chat(self.tokenizer, self.text[:until])
        return self.tokenizer(self.text[:until], add_special_tokens=False)["input_ids"]


def write(tokenizer: Any, template: str, messages: list[dict], generation_prompt: bool = False) -> str:
    """Return the text of a conversation. Raises InputError with the template's own words if it refuses the roles or their order."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template([messages], chat_template=template, tokenize=False, add_generation_prompt=generation_prompt)[0]
    except (TemplateError, TypeError) as error:
        raise InputError(f"the chat template refuses a conversation of {_roles(messages)}: {error}") from error


def written(tokenizer: Any, template: str, messages: list[dict], media: list[str], generation_prompt: bool = False) -> Written:
    """Render messages {"role", "content"}; media: what stands before each content, special tokens that stay tokens.

    Raises InputError if the template leaves a content out, writes it twice, or changes by more than its own text when a mark follows it.
    """

    def asked(contents: list[str]) -> list[dict]:
        told = zip(messages, media, contents, strict=True)
        return [{"role": message["role"], "content": before + content} for message, before, content in told]

    said = [message["content"] for message in messages]
    plain = write(tokenizer, template, asked(said), generation_prompt)
    special = quotable(tokenizer, template, len(tokenizer))
    quoted = any(map(special.search, said))
    used = set("".join(said))
    letters = [letter for letter in map(chr, range(0x100000, 0x100000 + len(said) + len(used))) if letter not in used][: len(said)]
    marked = [_marked(text, letter, special if quoted else None) for text, letter in zip(said, letters, strict=True)]
    text = write(tokenizer, template, asked(marked), generation_prompt)
    for message, letter in zip(messages, letters, strict=True):
        if (times := text.count(letter)) != 1:
            how = "leaves out" if not times else "repeats"
            raise InputError(
                f"the chat template does not write each content of a conversation of {_roles(messages)} once: it {how} what the "
                f"{message['role']} says; take these messages out of the rows, or change chat_template.jinja"
            )
    pieces = re.split(f"([{''.join(letters)}])", text) if letters else [text]
    places, length = {}, 0
    for piece, letter in zip(pieces[::2], pieces[1::2], strict=False):
        length += len(piece)
        places[letter] = length
    text = "".join(pieces[::2])
    if (text.translate(dict.fromkeys(map(ord, _control_marks()))) if quoted else text) != plain:
        raise InputError(
            f"the chat template reads the contents of a conversation of {_roles(messages)} in a way that can't be followed: it writes "
            "other text when a character is added at the end of one; change chat_template.jinja or these messages"
        )
    return Written(tokenizer, text, [places[letter] for letter in letters], quoted)


@functools.lru_cache(maxsize=64)
def end_of_turn(tokenizer: Any, template: str, tokens: int) -> int | None:
    """Return the id of the token that the template writes behind an answer; None if it writes none.

    tokens: len(tokenizer), so that a tokenizer which gets more tokens is asked again.
    """
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes" + MARK}]
    try:
        _, found, behind = write(tokenizer, template, messages).rpartition(MARK)
    except InputError:
        return None
    known = {tokenizer.eos_token_id, *added(tokenizer).values()} - {None, tokenizer.unk_token_id}
    ids = tokenizer(behind, add_special_tokens=False)["input_ids"] if found and behind else []
    return next((token for token in ids if token in known), None)


@functools.lru_cache(maxsize=64)
def quotable(tokenizer: Any, template: str, tokens: int) -> re.Pattern:
    """Return a pattern of the tokens that stay text inside a content: the special ones and the template's end of turn."""
    end = end_of_turn(tokenizer, template, tokens)
    return _any_of(name for name, index in added(tokenizer).items() if tokenizer.added_tokens_decoder[index].special or index == end)


@functools.lru_cache(maxsize=64)
def boundary(tokenizer: Any, tokens: int) -> re.Pattern:
    """Return a pattern of every token at which the tokenizer always cuts a text."""
    return _any_of(added(tokenizer))


def added(tokenizer: Any) -> dict[str, int]:
    """Return {text: id} of the tokens that the tokenizer recognises before it splits words; white space is none."""
    return {token.content: index for index, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}


def _any_of(names) -> re.Pattern:
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)")


def _roles(messages: list[dict]) -> str:
    return ", ".join(message["role"] for message in messages)


def _marked(text: str, letter: str, special: re.Pattern | None) -> str:
    """`text` with `letter` behind its last visible character, so that a template may trim it, and special tokens between control marks."""
    kept = text.rstrip()
    return (_quote(kept, special) if special else kept) + letter + text[len(kept) :]


def _quote(text: str, special: re.Pattern) -> str:
    from transformers.utils.chat_template_utils import mark_control_tokens

    return mark_control_tokens(text, special)


def _control_marks() -> str:
    return _quote("x", re.compile("x")).replace("x", "")
