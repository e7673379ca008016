"""Questions, choices and preferences about operations of cloud services; every phrasing is chosen by a digest."""

import re
from collections import Counter, defaultdict

from fmcycle.source.choice import digest, pick, sample
from fmcycle.tables.schema import ask

DESCRIBE = (
    "What does the operation {name} of {title} do?",
    "What does {name} do in {title}?",
    "Describe the {name} operation of {title}.",
    "What is {name} in {title} for?",
    "I use {title}. What does {name} do?",
    "Explain the operation {name} of {title}.",
)
NAME = (
    'Which operation of {title} does this: "{summary}"',
    'Name the operation of {title} that is described so: "{summary}"',
    '{title} documents an operation so: "{summary}" What is it called?',
)
CHOOSE = (
    "Which service has the operation {name}: {options}?",
    "{name} is an operation of one of these services: {options}. Which one?",
    "Where do I find the operation {name}: {options}?",
)
METHOD = (
    "Which HTTP method does the operation {name} of {title} use?",
    "Is {name} of {title} called with GET, POST, PUT, PATCH or DELETE?",
    "I call {name} of {title} over HTTP. With which method?",
)
GENERIC = {"TagResource", "UntagResource", "ListTagsForResource"}  # the same three sentences in 290 services
# An answer says what the operation does: it begins with a verb, not with "The live source configuration."
READABLE = re.compile(
    r"^(?!(?:The|A|An|This|These|When|If|You|Your|We|In|Note|For|Use|To|Only|It|All|Amazon|AWS|API|Important|Currently|Internal|Paid|While|Using|Used|Called|Async|Deprecates)\b)"
    r"[A-Z][a-z]+ [^<>{}|`]{20,280}[.!]$"
)
POOR = re.compile(r"\b(deprecated|no longer|not? supported|API operation is|This API|internal use|do not use|reserved for)\b|:\.?$", re.I)


def askable(entry) -> bool:
    """True if an operation's summary stands alone as an answer."""
    return bool(entry.name not in GENERIC and READABLE.match(entry.summary) and not POOR.search(entry.summary))


def tables(operations: list, questions: int, preferences: int) -> dict[str, list[dict]]:
    """Instructions, preferences and harmless prompts; at most `questions` operations of a service get instructions.

    No answer is used twice, so that no held-out answer is also a training answer of another service.
    """
    seen: set[str] = set()
    by_service = defaultdict(list)
    for entry in operations:
        key = re.sub(r"\W+", " ", entry.summary.lower())
        if askable(entry) and key not in seen:
            seen.add(key)
            by_service[entry.service].append(entry)
    owners = Counter((entry.name, entry.title) for entry in operations)
    titles = sorted({entry.title for entry in operations})
    rows: dict[str, list[dict]] = {"instructions": [], "preferences": [], "prompts": []}
    for service in sorted(by_service):
        entries = by_service[service]
        chosen = sample(entries, questions + preferences, lambda entry: entry.id)
        for place, entry in enumerate(chosen[:questions]):
            rows["instructions"].append(describe(entry))
            if place % 2:
                rows["instructions"].append(name_of(entry))
            elif len(others := [title for title in titles if (entry.name, title) not in owners]) > 1:
                rows["instructions"].append(choose(entry, others))
            if entry.method and place % 2 == 0:
                rows["instructions"].append(method_of(entry))
        rows["preferences"] += [row for entry in chosen[questions:] if (row := prefer(entry, entries))]
        last = chosen[-1]
        prompt = {"id": f"{last.id}/prompt", "text": question(last), "kind": "harmless", "group": last.group}
        rows["prompts"].append(prompt)
    return rows


def question(entry) -> str:
    """The question what an operation does, in one of several phrasings."""
    return pick(entry.id, DESCRIBE).format(name=entry.name, title=entry.title)


def row(entry, task: str, asked: str, answer: str) -> dict:
    """An instruction row about an operation."""
    return {"id": f"{entry.id}/{task}", "messages": ask(asked, answer), "task": task, "group": entry.group, "document": entry.id}


def describe(entry) -> dict:
    """Operation -> what it does."""
    return row(entry, "describe", question(entry), entry.summary)


def name_of(entry) -> dict:
    """What it does -> operation."""
    return row(entry, "name", pick(f"{entry.id}/name", NAME).format(title=entry.title, summary=entry.summary), entry.name)


def method_of(entry) -> dict:
    """Operation of a REST service -> its HTTP method, which its name lets one guess."""
    return row(entry, "method", pick(f"{entry.id}/method", METHOD).format(name=entry.name, title=entry.title), entry.method)


def choose(entry, others: list[str]) -> dict:
    """Operation -> the one of three services that has it; a digest chooses the place of the correct one."""
    options = sample(others, 2, lambda title: f"{entry.id}/{title}")
    options.insert(digest(f"{entry.id}/service") % 3, entry.title)
    asked = pick(f"{entry.id}/service", CHOOSE).format(name=entry.name, options=f"{options[0]}, {options[1]} or {options[2]}")
    return row(entry, "service", asked, entry.title)


def words(name: str) -> set[str]:
    """The words of a CamelCase name."""
    return set(re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", name))


def prefer(entry, entries: list) -> dict | None:
    """The true summary chosen over that of the service's operation with the most similar name; None if no name is similar."""

    def nearness(other) -> tuple[float, int]:
        shared = len(words(other.name) & words(entry.name)) / len(words(other.name) | words(entry.name))
        return shared, digest(f"{entry.id}/{other.name}")

    near = [other for other in entries if other is not entry and words(other.name) & words(entry.name)]
    if not near:
        return None
    other = max(near, key=nearness)
    prompt = [{"role": "user", "content": question(entry)}]
    return {"id": f"{entry.id}/preference", "prompt": prompt, "chosen": entry.summary, "rejected": other.summary, "group": entry.group}
