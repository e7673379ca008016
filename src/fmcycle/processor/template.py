"""What a chat template writes: the text of a conversation, where each content ends in it, and the token that ends an answer's turn."""

import functools
import re
from dataclasses import dataclass
from typing import Any

from fmcycle.errors import InputError
from fmcycle.processor.tools import Turn, each_text, structured, takes_tools

MARK = "\U0010fffd"  # a private-use character, set behind a content while the template is asked what it writes there


@dataclass(frozen=True)
class Written:
    """A rendered conversation. `ends`: where each message's content ends in `text`, white space behind it left out.

    quoted: special tokens inside contents stand between transformers' control marks, and `encode` makes plain text of them.
    called: which messages call tools; `ends` is inside their last call.
    """

    tokenizer: Any
    text: str
    ends: list[int]
    quoted: bool
    called: list[bool]

    def encode(self, until: int | None = None) -> list[int]:
        """Return the token ids of the text, or of its first `until` characters."""
        if self.quoted:
            from transformers.utils.chat_template_utils import encode_marked_chat

            return encode_marked_chat(self.tokenizer, self.text[:until])
        return self.tokenizer(self.text[:until], add_special_tokens=False)["input_ids"]


def write(tokenizer: Any, template: str, messages: list[dict], generation_prompt: bool = False, tools: list[dict] | None = None) -> str:
    """Return the text of a conversation. Raises InputError with the template's own words if it refuses the roles or their order."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(
            [messages], tools=tools or None, chat_template=template, tokenize=False, add_generation_prompt=generation_prompt
        )[0]
    except (TemplateError, TypeError) as error:
        raise InputError(f"the chat template refuses a conversation of {_roles(messages)}: {error}") from error


def written(tokenizer: Any, template: str, messages: list[dict], media: list[str], generation_prompt: bool = False) -> Written:
    """Render messages {"role", "content"}; media: what stands before each content, special tokens that stay tokens.

    A template that takes `tools` gets tools, calls and results as such. Raises InputError if the template leaves a content, a call or a
    tool out, writes a content twice, or changes by more than its own text when a mark follows it.
    """
    turns, tools = structured(messages) if takes_tools(template) else ([[message] for message in messages], [])
    plain = write(tokenizer, template, [message for turn in _asked(turns, media) for message in turn], generation_prompt, tools)
    special = quotable(tokenizer, template, len(tokenizer))
    said = [message["content"] for message in messages]
    quoted = any(map(special.search, said))
    used, count = set("".join(said)), len(said) + len(tools)
    free = [letter for letter in map(chr, range(0x100000, 0x100000 + count + len(used))) if letter not in used]
    letters, names = free[: len(said)], free[len(said) : count]
    marked = [message for turn in _asked(turns, media, letters, special if quoted else None) for message in turn]
    described = [_named(tool, letter, special if quoted else None) for tool, letter in zip(tools, names, strict=True)]
    text = write(tokenizer, template, marked, generation_prompt, described)
    if missing := next((tool for tool, letter in zip(tools, names, strict=True) if letter not in text), None):
        raise InputError(
            f"the chat template leaves out the tool {missing['function']['name']}: take these tools out of the rows, or change "
            "chat_template.jinja"
        )
    text = text.translate(dict.fromkeys(map(ord, names)))
    for message, turn, letter in zip(messages, turns, letters, strict=True):
        if turn and (times := text.count(letter)) != 1:
            how = "leaves out" if not times else "repeats"
            raise InputError(
                f"the chat template does not write each content of a conversation of {_roles(messages)} once: it {how} what the "
                f"{message['role']} {'calls' if 'tool_calls' in turn[-1] else 'says'}; take these messages out of the rows, or change "
                "chat_template.jinja"
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
    called = ["tool_calls" in turn[-1] if turn else False for turn in turns]
    return Written(tokenizer, text, [places.get(letter, 0) for letter in letters], quoted, called)


def _asked(turns: list[Turn], media: list[str], letters: list[str] | None = None, special: re.Pattern | None = None) -> list[Turn]:
    """The messages for the template; with `letters` each turn ends with its letter, and special tokens are between control marks."""
    found = []
    for place, (turn, before) in enumerate(zip(turns, media, strict=True)):
        shown = []
        for message in turn:
            letter = letters[place] if letters and message is turn[-1] else ""
            calls = message.get("tool_calls")
            content = _marked(message["content"], "" if calls else letter, special) if letters else message["content"]
            more = {key: value for key, value in message.items() if key in ("tool_call_id", "name") and message["role"] == "tool"}
            if calls:
                more["tool_calls"] = [_named(call, letter if call is calls[-1] else "", special) for call in calls]
            shown.append({"role": message["role"], "content": before + content} | more)
        found.append(shown)
    return found


def _named(tool: dict, letter: str, special: re.Pattern | None) -> dict:
    """A tool, or a call of one, with `letter` behind its name, and special tokens between control marks."""
    quoted = each_text(tool, lambda text: _quote(text, special)) if special else tool
    return quoted | {"function": quoted["function"] | {"name": quoted["function"]["name"] + letter}}


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
