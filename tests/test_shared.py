import pytest
import shared

from fmcycle.processor import media
from fmcycle.source.reader import read

pytestmark = pytest.mark.skipif(not shared.DATA.is_dir(), reason=shared.MISSING)


def test_spoken_digits_are_read_with_their_digit_and_speaker(tmp_path):
    read_in = read(shared.spoken_digits(tmp_path / "digits"))
    frame = read_in.table("examples")
    assert frame.height == read_in.read == 750 and not read_in.quarantine
    assert set(frame["label"]) == set("0123456789") and frame["domain"].n_unique() == 5 and frame["group"].n_unique() == 750
    assert set(frame["type"]) == {"speech"} and set(frame["text"]) == set(shared.NAMES)
    samples, rate = media.sound(frame["media"][0])
    assert rate == 8000 and 0.1 < len(samples) / rate < 1.4


@pytest.mark.parametrize(("name", "rows", "classes"), [("banking77", 10003, 77), ("clinc150", 18200, 151)])
def test_labelled_lines_are_documents_with_their_label(name, rows, classes, tmp_path):
    read_in = read(getattr(shared, name)(tmp_path / name))
    frame = read_in.table("documents")
    assert frame.height == read_in.read == rows and frame["label"].n_unique() == classes
