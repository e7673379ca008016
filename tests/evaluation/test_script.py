import numpy as np
import pytest
from rouge_score.tokenizers import DefaultTokenizer

from fmcycle.evaluation.instruction import bleu, scores
from fmcycle.evaluation.script import Words, spaced

TEXTS = {  # an answer, and one near it
    "en": ("The mill is driven by the brook.", "The mill is driven by the wind."),
    "zh": ("这座城市的老图书馆坐落在河边。", "这座城市的新图书馆坐落在湖边。"),
    "ja": ("古い図書館は川のそばにあります。", "新しい図書館は湖のそばにあります。"),
    "th": ("หอสมุดเก่าอยู่ริมแม่น้ำ", "หอสมุดใหม่อยู่ริมทะเลสาบ"),
    "km": ("បណ្ណាល័យចាស់នៅក្បែរទន្លេ", "បណ្ណាល័យថ្មីនៅក្បែរបឹង"),
    "ar": ("تقع المكتبة القديمة على ضفة النهر", "تقع المكتبة الجديدة على ضفة البحيرة"),
    "hi": ("पुराना पुस्तकालय नदी के किनारे है", "नया पुस्तकालय झील के किनारे है"),
    "ru": ("Старая библиотека стоит на берегу реки", "Новая библиотека стоит на берегу озера"),
    "ko": ("오래된 도서관은 강가에 있다", "새 도서관은 호수가에 있다"),
    "short": ("Yes", "Yes, it does"),
    "sign": ("👍👍", "👍"),
}  # fmt: skip


def scored(given, expected):
    """(ROUGE-L, BLEU) of one answer."""
    found = scores([given], [expected])
    return float(found["rouge_l"][0]), bleu(found["bleu"], resamples=2, seed=0)[0]


@pytest.mark.parametrize("script", TEXTS)
def test_equal_answers_have_the_full_score_in_every_script_near_ones_less_and_others_none(script):
    expected, near = TEXTS[script]
    assert scored(expected, expected) == (1, pytest.approx(100))
    assert 0 < scored(near, expected)[0] < 1 and scored(near, expected)[1] < 100
    assert scored("zzz", expected) == (0, 0)


def test_letters_beyond_ascii_count():
    assert scored("Gr e ber f nf H user", "Größe über fünf Häuser")[0] == 0
    assert Words().tokenize("café") == Words().tokenize("Café") == ["café"]


def test_ascii_texts_have_the_words_that_rouge_and_bleu_give_them():
    texts = ["It's 3.5 times __as__ large (or so): don't-ask!", "a_b C++ x=1", "The mill is driven by the brook.", ""]
    assert [Words().tokenize(text) for text in texts] == [DefaultTokenizer().tokenize(text) for text in texts]
    assert spaced(texts) == texts and np.isfinite(scores(texts, texts)["bleu"]).all()
