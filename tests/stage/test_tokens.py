from types import SimpleNamespace

import polars as pl
import pytest

from fmcycle.data.token_shards import Tokens
from fmcycle.errors import InputError
from fmcycle.processor import store as processor_store
from fmcycle.stage import tokens


def test_shards_hold_each_document_and_its_end(material, tmp_path):
    inputs = {"documents": str(material / "documents.parquet"), "processor": str(material / "processor")}
    tokens.run(SimpleNamespace(inputs=inputs, out=str(tmp_path / "out"), max_tokens=2000))
    processor = processor_store.load_processor(inputs["processor"])
    documents = pl.read_parquet(inputs["documents"])
    for split in tokens.SPLITS:
        texts = documents.filter(pl.col("split") == split)["text"].to_list()
        expected = [
            token for ids in processor(texts, split_special_tokens=True)["input_ids"] for token in (*ids, processor.eos_token_id)
        ]  # fmt: skip
        store = Tokens(tmp_path / "out" / split)
        assert store.window(0, len(store)).tolist() == expected
    assert len(list((tmp_path / "out/train").glob("*.npy"))) > 1


def test_no_document_to_train_on_is_refused(material, tmp_path):
    pl.read_parquet(material / "documents.parquet").with_columns(split=pl.lit("test")).write_parquet(tmp_path / "documents.parquet")
    inputs = {"documents": str(tmp_path / "documents.parquet"), "processor": str(material / "processor")}
    with pytest.raises(InputError, match="no document has split `train`"):
        tokens.run(SimpleNamespace(inputs=inputs, out=str(tmp_path / "out"), max_tokens=2000))
