"""Names of columns: those that fmcycle reads, their other spellings, and those that change what a row means."""

import functools
import re

from fmcycle.source.readable import plain
from fmcycle.source.turn import THOUGHTS, parsed
from fmcycle.tables.schema import READ

TALKS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat", "contents")
SYSTEM = (
    "system", "system_prompt", "system_message", "system_instruction", "system_instructions", "system_content", "sys_prompt", "preamble",
    "developer",
)  # fmt: skip
TOOLS = ("tools", "functions", "available_tools")
ASKED = ("instruction", "prompt", "question", "query", "problem", "inputs", "user", "human")
BESIDE = (  # context of a question; `input` alone is a question
    "input", "context", "contexts", "passage", "passages", "documents", "article", "story", "evidence", "knowledge", "background",
)  # fmt: skip
ANSWERED = ("completion", "output", "response", "answer", "answers", "solution", "target", "targets", "assistant", "gpt", "reply")
CALLED = ("tool_calls", "function_call")
PLACES = (
    "split",
    "subset",
    "set",
    "fold",
    "phase",
    "usage",
    "part",
    "stage",
    "data_type",
)  # all but `split` count only with a split's name
MORE = ("history", "images", "image", "audio", "audios", "video", "videos", "choices", "options", "text", "content", "weight", "mask",
    "loss_mask", "train_mask", "instructions", "persona", "personality")  # fmt: skip
MEANT = {*TALKS, *SYSTEM, *TOOLS, *ASKED, *BESIDE, *ANSWERED, *THOUGHTS, *CALLED, *MORE, "chosen", "rejected", "train_on_inputs"}
ALIAS = {
    "license": "licence", "licenses": "licence", "licences": "licence", "preferred_output": "chosen", "non_preferred_output": "rejected",
    "chosen_response": "chosen", "rejected_response": "rejected", "response_j": "chosen", "response_k": "rejected",
    "kto_tag": "label", "thumbs_up": "label", "desirable": "label", "is_desirable": "label",
    "partition": "split", "data_split": "split", "dataset_split": "split",
}  # fmt: skip
NAMES = {*MEANT, *PLACES, *ALIAS, *ALIAS.values()}.union(*READ.values())
LICENCE = re.compile(  # license, license_type, repo_license, max_stars_repo_licenses, spdx_id, rights, ...
    r"([a-z0-9]+_)*licen[cs]es?(_(name|type|id|spdx|spdx_id|expression))?|spdx(_id)?|(usage_)?rights"
)
META = ("metadata", "meta")  # columns of a mapping, which may hold the row's licence


@functools.lru_cache(maxsize=4096)
def usual(column: str) -> str:
    """The usual form of a column's name: small letters, one word for what has several (`systemPrompt`, "License")."""
    small = re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())).lower()
    return "licence" if LICENCE.fullmatch(small) else ALIAS.get(small, small)


def placing(names: dict[str, str]) -> str | None:
    """The column that a plan reads as `split`, but only in rows whose value names a split."""
    return next((column for column, name in names.items() if name == "split" and usual(column) in PLACES[1:]), None)


def nested(names: dict[str, str]) -> str | None:
    """The column of a mapping that a plan reads for the licence in it."""
    return next((column for column, name in names.items() if name == "licence" and usual(column) in META), None)


def licence_in(value) -> str | None:
    """The licence that a mapping, or its JSON text, holds; None if it holds none."""
    value = parsed(value)
    return next((plain(own) for key, own in value.items() if usual(str(key)) == "licence"), None) if isinstance(value, dict) else None
