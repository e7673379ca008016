import pytest
import torch
import transformers

from fmcycle.objective.seq2seq import Seq2Seq, SpanCorruption, parts, shifted

LAST, END = 199, 3


def together(inputs: list[int], said: list[int]) -> list[int]:
    """The text: each sentinel of the encoder's side replaced by what the decoder says of it."""
    spans: dict[int, list[int]] = {}
    for token in said[:-1]:
        if token > 100:
            spans[token] = []
        else:
            spans[list(spans)[-1]].append(token)
    return [part for token in inputs for part in (spans.pop(token) if token > 100 else [token])]


@pytest.mark.parametrize(("size", "share", "span"), [(40, 0.15, 3.0), (40, 0.5, 1.0), (7, 0.15, 3.0), (2, 0.9, 5.0)])
def test_both_sides_put_together_are_the_text(size, share, span):
    torch.manual_seed(0)
    ids = torch.randint(4, 100, (16, size))
    inputs, said = SpanCorruption(share=share, span=span).corrupted(ids, LAST, END)
    assert [together(a, b) for a, b in zip(inputs.tolist(), said.tolist(), strict=True)] == ids.tolist()
    assert (said[:, -1] == END).all()
    taken = min(max(1, round(size * share)), size - 1)
    assert ((said < 100).sum(1) == taken + 1).all() and ((inputs > 100).sum(1) == (said > 100).sum(1)).all()


def test_parts_are_positive_and_every_cut_is_drawn():
    torch.manual_seed(0)
    found = parts(2000, 4, 2)
    assert (found > 0).all() and (found.sum(1) == 4).all()
    assert found[:, 0].bincount().tolist()[1:] == pytest.approx([667, 667, 667], rel=0.15)


def small():
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=200, **sizes, pad_token_id=1, eos_token_id=END, decoder_start_token_id=0)
    )


def test_pairs_have_the_loss_that_transformers_has():
    model, ids = small(), torch.randint(4, 100, (3, 9))
    labels = torch.randint(4, 100, (3, 5))
    labels[0, 3:] = -100
    out = Seq2Seq()(model, {"input_ids": ids, "decoder_labels": labels})
    torch.testing.assert_close(out["loss"] / out["count"], model(input_ids=ids, labels=labels).loss)
    assert int(out["count"]) == 13


def test_the_decoder_is_given_what_it_said_before_and_no_label_that_is_left_out():
    assert shifted(small(), torch.tensor([[7, 8, -100, -100]])).tolist() == [[0, 7, 8, 1]]
