"""A prompt and its answer share a decoder's positions; an encoder-decoder reads one and writes the other."""

import families
import pytest

from fmcycle.engine.context import Context
from fmcycle.processor import components
from fmcycle.serving.pipeline import Pipeline


@pytest.mark.parametrize(("family", "shared"), [("decoder", True), ("seq2seq", False)])
def test_the_room_of_an_answer_is_what_the_positions_leave(family, shared):
    context = Context(*getattr(families, family)())
    size = context.positions
    assert context.room([5] * 3) == (size - 3 if shared else size)
    assert context.room([5] * size) == (0 if shared else size) and context.room([5] * (size + 1)) < 1


@pytest.mark.parametrize(
    ("family", "wanted"), [("decoder", lambda ids, start, end: [start, *ids]), ("seq2seq", lambda ids, start, end: [*ids, end])]
)
def test_a_text_to_go_on_with_begins_for_a_decoder_and_ends_for_an_encoder(family, wanted):
    context = Context(*getattr(families, family)())
    assert context.begin([5, 6]) == wanted([5, 6], context.tokenizer.bos_token_id, context.tokenizer.eos_token_id)


def test_an_answer_stops_where_the_processor_or_the_models_own_generation_config_says():
    model, tokenizer = families.decoder()
    context = Context(model, tokenizer)
    model.generation_config.eos_token_id = None
    assert context.stop_ids == {*components.ends(tokenizer)}
    model.generation_config.eos_token_id = [7, 9]  # as Llama 3's <|eom_id|> beside its end of turn
    assert context.stop_ids == {*components.ends(tokenizer), 7, 9}
    assert Pipeline(context).completion("bucket").request.sampling.stop_ids == context.stop_ids
