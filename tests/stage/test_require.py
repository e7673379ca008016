"""What an input names: a stage of the pipeline, or an experiment as it stands."""

from fmcycle.door.compose import compose
from fmcycle.stage.require import references, upstream


def test_an_experiment_is_composed_as_it_stands():
    below = compose(["experiment=bert_services", "base=make"])
    assert {"experiment:bert_masked", "experiment:curate_services"} <= set(references(below))
    body = upstream("experiment:bert_masked", below)
    assert body.stage == "pretrain" and body.section["objective"]["_target_"].endswith("MaskedToken")
    assert body.section == compose(["experiment=bert_masked"]).section
    rows = upstream("experiment:curate_services", below)
    assert rows.stage == "curate" and rows.section["split"]["test"] == 0.2


def test_the_machine_and_the_permission_to_make_reach_an_experiment():
    below = compose(["experiment=bert_services", "base=require"])
    assert upstream("experiment:bert_masked", below).base == "require"


def test_a_collection_reaches_the_stages_above():
    below = compose(["experiment=curate_services"])
    above = upstream("stage:collect", below)
    assert set(above.section["collection"]) == {"services"} and above.stage == "collect"


def test_values_that_an_experiment_changes_reach_what_its_inputs_are_made_with():
    below = compose(["experiment=bert_masked", "processor.vocab_size=2048"])
    made = upstream("stage:processor", below)
    assert made.section["processor"]["vocab_size"] == 2048
    tokens = upstream("stage:tokens", below)
    assert upstream("stage:processor", tokens).section["processor"]["vocab_size"] == 2048


def test_paths_are_no_references():
    below = compose(["experiment=t5_answers", "inputs.model=somewhere/model", "inputs.instructions=rows.parquet"])
    assert references(below) == []
