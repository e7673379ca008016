import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fmcycle.curation import linear, toxicity

HATECHECK = Path(__file__).parents[3] / "shared/data/toxicity/hatecheck/hatecheck.jsonl.gz"

CALM = "The keeper of the inn told us a long story about the winter and the road. " * 3


def test_a_text_of_unsafe_words_goes_and_one_with_an_oath_in_it_stays():
    texts = [
        "You shit, i will kill you",
        CALM * 4 + "Shit, said the keeper.",
        CALM,
        "the scunthorpe shitake retardant",
        "Fuck yes, well done!",
        "XXX XXX XXX",
    ]
    found = toxicity.lexicon(pl.DataFrame({"text": texts}))
    assert found["reason"].to_list() == ["unsafe words"] + [None] * 5
    assert found["value"][0] == "profanity (en) 0.333" and found.columns == ["text", "reason", "rule", "value"]


def test_words_are_asked_in_their_own_language_only():
    frame = pl.DataFrame({"text": ["Der Kikes der Fichte", "Der Kikes der Fichte", "so ein mist"], "language": ["de", "und", "de"]})
    assert toxicity.lexicon(frame, min_count=1)["reason"].to_list() == [None, "unsafe words", None]
    own = toxicity.lexicon(frame, min_count=1, terms={"de": {"oath": ["mist"]}})
    assert own["value"].to_list() == [None, None, "oath (de) 0.333"]
    assert toxicity.lexicon(frame, terms={})["reason"].to_list() == [None] * 3


@pytest.mark.parametrize(
    "text",
    [
        "They retard the growth of trade, and what retards trade retards us",
        "Stop up the chinks and crannies, the chinks in that wall",
        "Enough rope to hang yourself, and to shoot yourself in the foot",
        "All spic and span, as spic and span as ever",
    ],
)
def test_words_that_stand_for_something_else_are_none(text):
    assert toxicity.lexicon(pl.DataFrame({"text": [text]}), min_count=1)["reason"].to_list() == [None]


def test_the_same_words_of_persons_are():
    texts = ["a bunch of retards", "You chinks!", "just shoot yourself", "those spics"]
    assert toxicity.lexicon(pl.DataFrame({"text": texts}), min_count=1)["reason"].null_count() == 0


def test_what_counts_is_how_much_of_a_text_is_toxic():
    lines = pl.DataFrame({"text": ["bad\n" + "good " * 30, "bad bad bad\ngood", "", "12"]})
    found = toxicity.by_lines(lines, lambda texts: np.array([0.9 if text.startswith("bad") else 0.1 for text in texts]), 0.8, 0.5)
    assert found["toxicity"].to_list() == [0.0196, 0.7333, 0.0, 0.0]
    assert found["reason"].to_list() == [None, "toxic", None, None] and found["rule"][1] == "toxicity > 0.5"


def test_a_classifier_learns_from_examples(tmp_path):
    (tmp_path / "toxic.txt").write_text("those people are vermin\nall of them are filthy liars\nvermin and liars\n" * 5)
    (tmp_path / "safe.txt").write_text("those people are neighbours\nall of them are kind\nneighbours and friends\n" * 5)
    named = [{"path": str(tmp_path / name), "lines": True} for name in ("toxic.txt", "safe.txt")]
    frame = pl.DataFrame({"text": ["they are filthy vermin, liars", "they are kind neighbours"]})
    found = toxicity.classifier(frame, toxic=named[:1], safe=named[1:], threshold=0.6)
    assert found["reason"].to_list() == ["toxic", None]


def test_a_sequence_classifier_gives_the_probability_of_its_label(tmp_path):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "good": 2, "bad": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(tmp_path)
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 4}
    network = BertForSequenceClassification(BertConfig(**shape, id2label={0: "fine", 1: "Toxic"}, label2id={"fine": 0, "Toxic": 1})).eval()
    network.save_pretrained(tmp_path)
    lines = pl.Series(["good good", "bad", "good bad bad"])
    found = toxicity.probability(lines, folder=str(tmp_path), label="toxic", batch=2)
    with torch.inference_mode():
        expected = [network(input_ids=torch.tensor([ids])).logits.softmax(-1)[0, 1].item() for ids in ([2, 2], [3], [2, 3, 3])]
    assert np.allclose(found, expected, atol=1e-5)
    judged = toxicity.model(pl.DataFrame({"text": lines}), folder=str(tmp_path), threshold=0.0, max_share=0.5)
    assert judged["toxicity"].to_list() == [1.0] * 3
    with pytest.raises(ValueError, match="no label"):
        toxicity.probability(lines, folder=str(tmp_path), label="spam", batch=2)


@pytest.mark.prove
@pytest.mark.skipif(not HATECHECK.is_file(), reason=f"{HATECHECK} is not here")
def test_what_words_and_a_classifier_find_on_hatecheck(capsys):
    """HateCheck (Rottger et al., 2021) is made to be hard; a third of its templates is held out of training."""
    rows = [json.loads(line) for line in gzip.decompress(HATECHECK.read_bytes()).splitlines()]
    held = [row for row in rows if int(row["templ_id"]) % 3 == 0]
    shown = {
        kind: [row["test_case"] for row in rows if row not in held and row["label_gold"] == kind] for kind in ("hateful", "non-hateful")
    }
    texts = pl.DataFrame({"text": [row["test_case"] for row in held]})
    hateful = np.array([row["label_gold"] == "hateful" for row in held])
    model = linear.train(*shown.values(), buckets=1 << 18, ngram=2, characters=2000, seed=0, letters=toxicity.LETTERS)
    named = {
        "lexicon": toxicity.lexicon(texts, min_count=1)["reason"].is_not_null().to_numpy(),
        "classifier at 0.5": model.score(texts["text"]) > 0.5,
        "classifier": model.score(texts["text"]) > 0.8,
    }
    for name, told in named.items():
        precision, recall = hateful[told].mean(), told[hateful].mean()
        with capsys.disabled():
            print(f"\n{name}: precision {precision:.2f}, recall {recall:.2f} of {len(held)}; {hateful.mean():.2f} are hateful", end="")
    assert recall > 0.35 and precision > hateful.mean()
