import polars as pl

from fmcycle.curation.html import main_text

BODY = [
    "It was the best inn of the north, and nobody knew it better than the keeper of the small house on the hill.",
    "He had three rooms, two horses, and a cellar that his wife called a library because of the books in it.",
    "Straße und Öl — 北の宿 は 冬 に 閉まる: the road was closed in winter; whoever came then stayed until March.",
]
PAGE = (
    "<html><head><title>Inn</title><script>var x = 'track';</script></head><body><nav><ul><li><a href='/'>Home</a>"
    "<li><a href='/a'>About us</a></ul></nav><div class='cookie-banner'>Accept all cookies</div><main><article><h1>The inn</h1>"
    + "".join(f"<p>{text}</p>" for text in BODY)
    + "<ul><li>Bread and soup</li></ul></article></main><aside><div class='ad'>Advertisement</div></aside>"
    "<footer>Copyright 2024 Example Inc. <a href='#'>Log in</a></footer></body></html>"
)


def test_what_the_page_is_about_stays_and_the_rest_goes():
    found = main_text(pl.DataFrame({"id": ["a"], "text": [PAGE], "type": ["html"]})).to_dicts()[0]
    assert all(text in found["text"] for text in BODY) and "Bread and soup" in found["text"]
    assert not [word for word in ("Home", "cookies", "track", "Advertisement", "Log in", "<") if word in found["text"]]
    assert found["type"] == "text" and found["reason"] is None


def test_other_rows_are_not_touched_and_a_page_without_text_is_dropped_as_it_was():
    frame = pl.DataFrame(
        {"text": ["a < b <p> c", "<html><body><script>x()</script></body></html>", PAGE, "<"], "type": ["text", "html", "html", "html"]}
    )
    found = main_text(frame)
    assert found["text"].to_list()[:2] == frame["text"].to_list()[:2]
    assert found["reason"].to_list() == [None, "no main text", None, "no main text"]
    assert found["type"].to_list() == ["text", "html", "text", "html"]
    again = main_text(found.drop("reason", "rule", "value"))
    assert again["text"].to_list() == found["text"].to_list()


def test_a_frame_without_pages_stays_as_it_is():
    frame = pl.DataFrame({"text": ["<p>"]})
    assert main_text(frame) is frame
