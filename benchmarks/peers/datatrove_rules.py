"""datatrove's quality filters over documents of a JSONL file: a verdict each, and the time.

python datatrove_rules.py FILE VERDICTS SETTINGS: SETTINGS is JSON, {"words": pattern, "sentences": pattern, "thresholds": {filter: {option:
value}}}; without patterns datatrove splits as it does for English (spaCy).
"""

import json
import sys

import regex
from datatrove.data import Document
from datatrove.pipeline import filters
from datatrove.utils import word_tokenizers
from measure import Meter

KINDS = {
    "gopher": filters.GopherQualityFilter,
    "gopher_repetition": filters.GopherRepetitionFilter,
    "c4": filters.C4QualityFilter,
    "fineweb": filters.FineWebQualityFilter,
}


class Splitter:
    """Words and sentences by pattern, in place of a tokenizer of a language."""

    def __init__(self, words: str, sentences: str):
        self.words, self.sentences = regex.compile(words, regex.V1), regex.compile(sentences, regex.V1)

    def word_tokenize(self, text: str) -> list[str]:
        return self.words.findall(text)

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in self.sentences.finditer(text)]


def main() -> None:
    file, verdicts, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if "words" in settings:
        own = Splitter(settings["words"], settings["sentences"])
        word_tokenizers.load_word_tokenizer = lambda _language: own
    with open(file) as lines:
        rows = [json.loads(line) for line in lines]
    found = {name: [] for name in KINDS}
    judges = {name: kind(**settings["thresholds"].get(name, {})) for name, kind in KINDS.items()}
    for judge in judges.values():
        judge.filter(Document(text="One. Two. Three. Four. Five words are here and the end of it is that.", id="warm"))
    meter = Meter(warm=1)
    meter.step(0)
    for row in rows:
        for name, judge in judges.items():
            document = Document(text=row["text"], id=row["id"])
            result = judge.filter(document)
            found[name].append([result is True, None if result is True else result[1], document.text if name == "c4" else ""])
        meter.step(len(row["text"].encode()))
    with open(verdicts, "w") as target:
        json.dump(found, target)
    meter.report()


if __name__ == "__main__":
    main()
