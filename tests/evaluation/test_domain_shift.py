import polars as pl
import pytest
import torch

from fmcycle.errors import InputError
from fmcycle.evaluation.domain_shift import DomainShift


@pytest.fixture
def documents(material, tmp_path):
    rows = pl.read_parquet(material / "documents.parquet").with_row_index("place")
    source = pl.when(pl.col("place") // 4 % 2 == 0).then(pl.lit("bible")).otherwise(pl.lit("python"))
    rows.with_columns(source=source).drop("place").write_parquet(tmp_path / "documents.parquet")
    return str(tmp_path / "documents.parquet")


def shift(documents, material, **fields):
    common = {"where": {"source": ["bible"]}, "context": 64, "limit": 6}
    return DomainShift(domain=documents, general=documents, reference=str(material / "model"), **common | fields)


def test_the_model_itself_has_not_shifted(documents, material, assistant):
    found = shift(documents, material)(*assistant)
    assert found["domain_fall"] == found["general_rise"] == 0
    assert found["domain_bits_per_byte"] == found["reference/domain_bits_per_byte"] != found["general_bits_per_byte"]


def test_a_worse_model_rises_and_does_not_fall(documents, material, assistant):
    model, processor = assistant
    state = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        found = shift(documents, material)(model, processor)
    finally:
        model.load_state_dict(state)
    assert found["domain_fall/high"] < 0 < found["general_rise/low"]
    assert found["general_rise"] == pytest.approx(found["general_bits_per_byte"] - found["reference/general_bits_per_byte"])


def test_the_two_sides_share_no_document(documents, material):
    one, held_out = shift(documents, material, limit=1000), pl.read_parquet(documents).filter(split="test")
    for inside in (True, False):
        wanted = held_out.filter((pl.col("source") == "bible") == inside)["text"]
        assert len(wanted) and sorted(one.chosen(documents, inside)) == sorted(wanted)


def test_a_domain_that_is_not_there_is_said(documents, material):
    with pytest.raises(InputError, match=r"no held-out document .* lies in the domain"):
        shift(documents, material, where={"source": ["koran"]}).chosen(documents, True)
    with pytest.raises(InputError, match=r"where\.sauce: .* no such column; it has .*source"):
        shift(documents, material, where={"sauce": ["bible"]}).chosen(documents, True)
