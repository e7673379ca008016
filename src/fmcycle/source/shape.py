"""Convert rows of common formats (Alpaca, ShareGPT, HH, ...) to fmcycle's tables; no column that changes a row's meaning is dropped."""

import functools
import re
from collections.abc import Collection
from typing import NamedTuple

from fmcycle.errors import InputError
from fmcycle.source.choice import digest
from fmcycle.source.column import ALIAS, ANSWERED, ASKED, BESIDE, CALLED, MEANT, META, NAMES, PLACES, SYSTEM, TALKS, TOOLS, usual
from fmcycle.source.given_split import place_of
from fmcycle.source.readable import plain as plain_value
from fmcycle.source.turn import EMPTY, THOUGHTS, content, given, parsed, tools, turns
from fmcycle.tables.schema import READ

Map = tuple[tuple[str, str], ...]  # pairs of fmcycle's name and the file's column
DIGEST = re.compile("[0-9a-f]{16,64}")
WANTED = {
    **dict.fromkeys(("true", "1", "1.0", "desirable", "chosen", "good"), True),
    **dict.fromkeys(("false", "0", "0.0", "-1", "undesirable", "rejected", "bad"), False),
}
HH = re.compile(r"\n\n(Human|Assistant): ?")


def chosen(columns: dict) -> Map:
    """The user's names of columns, source.map. Raises InputError for a name that fmcycle doesn't have."""
    known = sorted(NAMES - {*ALIAS})
    for name, column in columns.items():
        if name not in known or not isinstance(column, str):
            raise InputError(f"source.map: {name}: {column} is not NAME: COLUMN with one of the names {', '.join(known)}")
    return tuple(columns.items())


class Plan(NamedTuple):
    """How to read rows with the same columns: their table ("rows": each row decides it), {column: fmcycle's name}, unread columns."""

    table: str | None
    names: dict[str, str]
    unread: tuple[str, ...]


@functools.lru_cache(maxsize=4096)
def plan(columns: tuple[str, ...], chosen: Map = ()) -> Plan:
    """The plan of rows with these columns. chosen: the user's names of columns (source.map)."""
    names = {column: name for name, column in chosen if column in columns}
    for column in sorted(columns, key=lambda column: (column not in NAMES, column.endswith("_type"))):  # exact names first
        name = usual(column)
        if column not in names and name in NAMES and name not in names.values():
            names[column] = name
    if "licence" not in names.values():
        names |= dict.fromkeys([column for column in columns if usual(column) in META][:1], "licence")
    table = table_of(names.values())
    if table in READ:
        if "split" not in names.values():
            names |= {column: "split" for column in columns if names.get(column) in PLACES and "split" not in names.values()}
        if "text" not in names.values():  # `content` is a synonym of `text`
            names = {column: "text" if name == "content" else name for column, name in names.items()}
        names = {column: name for column, name in names.items() if name in READ[table]}
    return Plan(table, names, tuple(column for column in columns if column not in names))


def words(value, name: str) -> str:
    """The text of a column with context or a system prompt: a text, a list of texts, or content parts. Raises ValueError for another."""
    value = parsed(value)
    if isinstance(value, dict):
        value = next((value[key] for key in ("parts", "content") if key in value), value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n\n".join(value)
    if isinstance(value, list | dict):
        value = content(value, "system")[0]
    text = plain_value(value)
    if not text or not text.strip():
        raise ValueError(f"{name} is not text: leave it out, or choose with source.map")
    return text


def table_of(names: Collection[str]) -> str | None:
    """The table of rows with these names; "rows" if each row decides it, None if no table fits."""
    names = {*names}
    if "media" in names:
        return "examples"
    if names & {*TALKS} or {"chosen", "rejected"} <= names or (names & {*ASKED, "input"} and names & {*ANSWERED}):
        return "rows"
    if "text" in names and "kind" in names:
        return "prompts"
    return "documents" if "text" in names or "content" in names else None


def is_row(columns: Collection[str], chosen: Map = ()) -> bool:
    """True if rows with these columns belong to one of fmcycle's tables."""
    return plan(tuple(columns), chosen).table is not None


def prompt_group(messages: list[dict]) -> str:
    """The group of a prompt, by its first question; case, blanks and punctuation make no difference."""
    first = next((turn["content"] for turn in messages if turn["role"] == "user"), messages[0]["content"])
    return text_group(first)


def text_group(text: str | bytes) -> str:
    """The group of a prompt that is one text."""
    text = text if isinstance(text, str) else text.decode("utf-8", "replace")
    plain = re.sub(r"[\W_]+", " ", text.lower()).strip() or text
    return f"prompt/{digest(plain.encode('utf-8', 'replace').decode()):016x}"


def ours(row: dict) -> tuple[str, str, dict, set[str]]:
    """(shape, table, the row in the table's columns, its unread columns) of a row whose columns have fmcycle's names.

    Raises ValueError with the reason if the row fits no table, or if a column that changes its meaning would be lost.
    """
    said, used, unread = given(row), set[str](), set[str]()
    talk = next((name for name in TALKS if name in said), None)
    if empty := next((name for name in ("chosen", "rejected") if name in row and name not in said), None):
        raise ValueError(f"{empty} is empty")
    if "chosen" in said and "rejected" in said:
        shape, table, found = preference(said, used, unread)
    elif talk:
        shape, table, found = talked(said, talk, used, unread)
    else:
        shape, table, found = answered(said, used, unread)
    if table == "instructions" and (wanted := WANTED.get(str(said.get("label")).lower())) is not None:
        used.add("label")
        shape = "KTO" if talk is None else shape
        if not wanted:
            raise ValueError("label marks the answer as unwanted, and no objective trains on such an answer alone: pair it as rejected")
    rest = said.keys() - used
    place = next((name for name in PLACES if name in rest and (name == "split" or place_of(said[name]))), None)
    found |= {name: said[name] for name in READ[table] if name in rest and name not in found and name not in MEANT}
    if place:
        found["split"] = said[place]
    talk_of = [*found.get("messages", []), *found.get("prompt", [])]
    found.setdefault("group", prompt_group(talk_of))
    rest -= {*found, place}
    texts = [str(turn["content"]) for turn in talk_of if turn["role"] != "system"]
    texts += [str(found[side]) for side in ("chosen", "rejected") if side in found]
    for name in sorted(rest & MEANT):
        if not repeated(said[name], texts):
            beside = ", ".join(sorted(used))
            raise ValueError(f"{name} changes what the row means and is not read beside {beside}: leave it out, or choose with source.map")
    return shape, table, found, unread | rest


def repeated(value, texts: list[str]) -> bool:
    """True if `value` adds nothing: a question that `texts` hold, a text made of question and answer, a digest, a weight of 1."""
    value = parsed(value)
    if isinstance(value, list):
        return all(isinstance(turn, dict) and repeated(turn.get("content", turn.get("value")), texts) for turn in value)
    if isinstance(value, str):
        value = value.strip()
        return (
            any(value in text for text in texts)
            or bool(DIGEST.fullmatch(value))
            or all(text.strip().split("\n")[0] in value for text in texts)
        )
    return value == 1


def preference(said: dict, used: set[str], unread: set[str]) -> tuple[str, str, dict]:
    """Convert a row with chosen and rejected: texts or messages, with the prompt in a column, in both of them, or in HH's form."""
    used |= {"chosen", "rejected"}
    sides = [parsed(said[name]) for name in ("chosen", "rejected")]
    shape = "preferences"
    talk = next((name for name in TALKS if name in said and not repeats(said[name], sides[0])), None)
    used |= {name for name in TALKS if name in said} if not talk else {talk}
    asked = turns(said[talk], talk, unread) if talk else question(said, used, unread)[0]
    if all(isinstance(side, str) for side in sides):
        if not asked and all(HH.match(side) or HH.match(f"\n\n{side}") for side in sides):
            shape, sides = "HH", [spoken(side) for side in sides]
        else:
            sides = [[{"from": "assistant", "value": side}] for side in sides]
    chosen, rejected = (turns(side, name, unread) for side, name in zip(sides, ("chosen", "rejected"), strict=True))
    if [plain(turn) for turn in chosen[:-1]] != [plain(turn) for turn in rejected[:-1]]:
        raise ValueError("chosen and rejected differ in more than their last answer")
    before = chosen[:-1]
    one, other = [plain(turn) for turn in before], [plain(turn) for turn in asked]
    if before and asked and one != other[-len(one) :]:
        if one[-len(other) :] != other and not (len(other) == 1 and other[0] in one):
            raise ValueError("the prompt is not what chosen and rejected begin with")
        asked = before
    asked = asked or before
    if {chosen[-1]["role"], rejected[-1]["role"]} != {"assistant"}:
        raise ValueError("the last message of chosen or rejected is not the assistant's")
    if not asked:
        raise ValueError("chosen and rejected have no prompt: name its column with 'source.map={prompt: COLUMN}'")
    prompt = [plain(turn) for turn in headed(asked, said, used)]
    return shape, "preferences", {"prompt": prompt, "chosen": chosen[-1]["content"], "rejected": rejected[-1]["content"]}


def repeats(value, side) -> bool:
    """True if a conversation beside `chosen` is the same as `chosen`."""
    value = parsed(value)
    return isinstance(side, list) and len(side) > 1 and value == side


def talked(said: dict, talk: str, used: set[str], unread: set[str]) -> tuple[str, str, dict]:
    """Convert a row with a conversation."""
    used.add(talk)
    messages = turns(said[talk], talk, unread)
    value = parsed(said[talk])
    shape = "ShareGPT" if isinstance(value, list) and isinstance(value[0], dict) and value[0].get("from") else "messages"
    return shape, "instructions", taught(messages, said, used)


def answered(said: dict, used: set[str], unread: set[str]) -> tuple[str, str, dict]:
    """Convert a row with a question and its answer, each in a column of its own."""
    asked, key = question(said, used, unread)
    name = next((name for name in ANSWERED if name in said), None)
    if not asked or name is None:
        missing = "no question" if not asked else f"no answer beside {key}"
        raise ValueError(f"{missing}: {', '.join(ANSWERED if asked else ASKED)} are empty or missing")
    used.add(name)
    value = parsed(said[name])
    if isinstance(value, dict) and isinstance(value.get("text"), list):  # SQuAD's form
        value = value["text"]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        if len({*value}) != 1:
            raise ValueError(f"{name}: {len({*value})} different answers to one question")
        value = value[0]
    if not isinstance(value, list):
        value = said[name] if not isinstance(value, str | int | float) else str(value)
        beside = {other: said[other] for other in (*THOUGHTS, *CALLED) if other in said}
        used |= {*beside}
        value = [{"role": "assistant", "content": value} | beside]
    messages = [*asked, *turns(value, name, unread)]
    shape = {"instruction": "Alpaca", "prompt": "prompt/completion", "question": "question/answer"}.get(key, f"{key}/{name}")
    return shape, "instructions", taught(messages, said, used)


def question(said: dict, used: set[str], unread: set[str]) -> tuple[list[dict], str]:
    """(the prompt as messages, its column); ([], "") if no column holds a prompt."""
    name = next((name for name in (*ASKED, "input") if name in said), None)
    if name is None:
        return [], ""
    used.add(name)
    value = parsed(said[name])
    if isinstance(value, dict) and "messages" in value and value.get("tools"):  # OpenAI's format of preferences
        said.setdefault("tools", value["tools"])
    if isinstance(value, list | dict):  # answers inside a prompt are not trained on
        return [turn | {"counts": False} for turn in turns(value, name, unread)], name
    beside = next((other for other in BESIDE if other in said and other != name), None)
    text = str(value) if isinstance(value, int | float) else said[name]
    if beside and isinstance(text, str):
        used.add(beside)
        text = f"{text}\n\n{words(said[beside], beside)}"
    asked = []
    if "history" in said:
        used.add("history")
        for pair in parsed(said["history"]):
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError("history is not a list of [question, answer]")
            asked += [{"from": "user", "value": pair[0]}, {"from": "assistant", "value": pair[1]}]
    return turns([*asked, {"from": "user", "value": text}], name, unread), name


def headed(messages: list[dict], said: dict, used: set[str]) -> list[dict]:
    """Put the system prompt and the tools of the row's columns before the messages."""
    texts = [words(said[name], name) for name in SYSTEM if name in said]
    tooled = [tools(said[name], name) for name in TOOLS if parsed(said.get(name)) not in EMPTY]
    used |= {name for name in (*SYSTEM, *TOOLS) if name in said}
    first = messages[:1] if messages[0]["role"] == "system" else []
    texts += [turn["content"] for turn in first if turn["content"] not in texts]
    front = "\n\n".join(dict.fromkeys([*texts, *tooled]))
    return [{"role": "system", "content": front, "counts": True}, *messages[len(first) :]] if texts or tooled else messages


def taught(messages: list[dict], said: dict, used: set[str]) -> dict:
    """{messages, masked}: messages up to the last answer to train on, and the indices of earlier answers not to train on."""
    if messages[-1]["role"] != "assistant":
        raise ValueError("the last message is not the assistant's")
    messages = headed(messages, said, used)
    own = said.get("masked") or []
    used |= {"masked"} & {*said}
    answers = [place for place, turn in enumerate(messages) if turn["role"] == "assistant"]
    counted = [place for place in answers if messages[place]["counts"] and place not in own]
    if not counted:
        raise ValueError("none of its answers is trained on")
    masked = [place for place in answers if place < counted[-1] and place not in counted]
    return {"messages": [plain(turn) for turn in messages[: counted[-1] + 1]], "masked": masked or None}


def plain(turn: dict) -> dict:
    """A turn as {role, content}."""
    return {"role": turn["role"], "content": turn["content"]}


def spoken(text: str) -> list[dict]:
    """HH's text of Human and Assistant as messages."""
    _, *parts = HH.split(text if HH.match(text) else f"\n\n{text}")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [{"from": who.lower(), "value": what.strip("\n")} for who, what in pairs if what not in EMPTY]
