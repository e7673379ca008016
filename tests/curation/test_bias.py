import pickle

import polars as pl

from fmcycle.curation.bias import Representation
from fmcycle.curation.corpus_step import gathered, whole

STEP = Representation(
    groups={"women": ["she", "Woman"], "men": ["he", "man"], "nobody": ["zzz"]},
    attributes={"work": ["office", "engineer"], "home": ["kitchen"]},
    target={"women": 0.5, "men": 0.5, "nobody": 0.0},
)
TEXTS = [
    "He went to the office. He met a man there. She went to the kitchen.",
    "The engineer said that he would come. A WOMAN, an engineer too, came. The theme of the office.",
    "Nothing here.",
]


def findings(frames, step=STEP):
    return step.findings(gathered([step.settle(pl.concat([step.sketch(frame) for frame in frames]))]))


def numbered(texts):
    return pl.DataFrame({"id": list("abc")[: len(texts)], "text": texts}).with_row_index("row").with_columns(pl.col("row").cast(pl.UInt64))


def test_sentences_are_counted_by_group_and_by_what_stands_beside_it():
    found = findings([numbered(TEXTS)])
    assert found["groups"]["men"] == {"documents": 2, "sentences": 3, "share": 0.6, "target": 0.5, "gap": 0.1}
    assert found["groups"]["women"] == {"documents": 2, "sentences": 2, "share": 0.4, "target": 0.5, "gap": -0.1}
    assert found["groups"]["nobody"]["sentences"] == 0
    assert found["beside"]["work"]["men"] == {"sentences": 2, "share": 0.6667, "target": 0.5, "gap": 0.1667}
    assert found["beside"]["home"]["women"]["share"] == 1.0 and found["beside"]["home"]["men"]["gap"] == -0.5


def test_the_corpus_itself_is_the_target_where_none_is_given():
    found = findings([numbered(TEXTS)], Representation(STEP.groups, STEP.attributes))
    assert found["groups"]["men"]["gap"] == 0.0 and found["beside"]["work"]["men"]["gap"] == 0.0667


def test_no_document_is_dropped_and_the_cut_does_not_matter():
    frame = numbered(TEXTS)
    assert whole(STEP, frame)["reason"].to_list() == [None] * 3
    assert findings([frame[:1], frame[1:]]) == findings([frame]) == findings([frame[:2], frame[2:]], pickle.loads(pickle.dumps(STEP)))
    assert findings([frame.clear()])["groups"]["men"]["share"] is None
