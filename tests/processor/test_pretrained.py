import gguf_file
import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.processor import components, store
from fmcycle.processor.chat import labelled, render
from fmcycle.processor.pretrained import pretrained

TALK = [{"role": "user", "content": "What does  it do in 2026?"}, {"role": "assistant", "content": "It  creates 12 buckets."}]


@pytest.fixture(scope="module")
def base(material):
    return model_store.load_model(material / "model")


def test_the_tokenizer_of_a_gguf_file_renders_and_comes_back_as_it_was(base, tmp_path):
    file = gguf_file.write(tmp_path / "tiny.gguf", *base, cut="gpt-2")
    found = pretrained(path=str(file), vocab_size=len(base[1]))
    assert found.chat_template == base[1].chat_template and components.ends(found) == components.ends(base[1])
    assert render(found, TALK) == found.apply_chat_template(TALK, return_dict=False)
    assert found.decode(render(found, TALK)) == base[1].decode(render(base[1], TALK))
    with artifact.create(tmp_path / "kept") as partial:
        found.save_pretrained(partial)
    again = store.load_processor(tmp_path / "kept")
    assert labelled(again, TALK) == labelled(found, TALK)
    assert str(tmp_path) not in (tmp_path / "kept/tokenizer_config.json").read_text()  # nothing of where it lay


def test_a_family_of_gguf_that_reads_every_digit_by_itself_does(base, tmp_path):
    found = pretrained(path=str(gguf_file.write(tmp_path / "tiny.gguf", *base, cut="smollm")))
    words = [word for word, _ in found.backend_tokenizer.pre_tokenizer.pre_tokenize_str("in 2026")]
    assert words == ["in", "Ġ", "2", "0", "2", "6"]
    with pytest.raises(InputError, match="its pre-tokenizer 'unheard-of' is not supported"):
        pretrained(path=str(gguf_file.write(tmp_path / "other.gguf", *base, cut="unheard-of")))


def test_a_folder_gives_its_processor_and_says_where_a_text_begins(base, material, tmp_path):
    found = pretrained(path=str(material / "model"), begin="<|user|>")
    assert render(found, TALK) == render(base[1], TALK) and found.bos_token == "<|user|>"
    assert pretrained(path=str(tmp_path), base=str(material / "model")).chat_template == base[1].chat_template


def test_what_is_not_what_was_asked_for_is_refused(base, material, tmp_path):
    with pytest.raises(InputError, match=r"has 512 tokens, processor.vocab_size is 600"):
        pretrained(path=str(material / "model"), vocab_size=600)
    with pytest.raises(InputError, match=r"processor\.begin '<s>' is not one of its tokens"):
        pretrained(path=str(material / "model"), begin="<s>")
    (tmp_path / "cut.gguf").write_bytes(gguf_file.write(tmp_path / "tiny.gguf", *base).read_bytes()[:3000])
    with pytest.raises(InputError, match="its tokenizer can't be read"):
        pretrained(path=str(tmp_path / "cut.gguf"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="its processor can't be read"):
        pretrained(path=str(tmp_path / "empty"))
