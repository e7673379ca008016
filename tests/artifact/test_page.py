import re

import jinja2
import pytest

from fmcycle.artifact.page import colours, contents, render

EVIL = "<script>alert(1)</script>"


def test_values_are_escaped_and_a_missing_one_is_an_error(tmp_path):
    file = tmp_path / "x.html"
    file.write_text(
        '{% extends base %}{% block title %}{{ name }}{% endblock %}{% block body %}<p id="{{ name }}">{{ name }}</p>{% endblock %}'
    )
    text = render(file, name=EVIL + '"')
    assert "<script" not in text and text.count("&lt;script&gt;") == 3 and '"&lt;' in text and '&#34;"' in text
    with pytest.raises(jinja2.UndefinedError):
        render(file)


def test_the_contents_name_every_heading_once():
    body = '<h2>Against <b>A</b> &amp; B</h2><h2>Twice</h2><p>&lt;h2&gt;no&lt;/h2&gt;</p><h2>Twice</h2><h2 id="own">\u00e9</h2>'
    anchors, text = contents(body)
    assert anchors == [("against-a-amp-b", "Against A &amp; B"), ("twice", "Twice"), ("twice-2", "Twice"), ("own", "\u00e9")]
    assert re.findall(r'<h2 id="([^"]*)"', text) == [anchor for anchor, _ in anchors]


def test_every_page_extends_the_one_base_and_loads_nothing(root):
    """But the server's own page, in which nothing is filled and which loads its own files."""
    base = root / "src/fmcycle/artifact/base.html"
    for file in (root / "src/fmcycle").rglob("*.html"):
        text = file.read_text()
        assert not re.search(r"src=(?!\"page/)|url\(|@import|https?://", text), file
        assert file == base or text.startswith("{% extends base %}") or "{{" not in text, file
    sources = {file: file.read_text() for file in (root / "src/fmcycle").rglob("*.py")}
    makers = [file for file, text in sources.items() if "jinja2.Environment" in text and ".html" in text]  # init fills no page
    assert makers == [base.with_name("page.py")]


def test_the_colours_of_all_pages_are_two_blocks_of_css():
    assert colours().count(":root {") == 2 and colours().count("{") == colours().count("}") and "prefers-color-scheme: dark" in colours()
