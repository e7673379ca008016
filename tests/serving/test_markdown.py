"""What a model writes becomes the page's own elements, and nothing of it runs or loads."""

import pytest


@pytest.fixture
def made(shown):
    """(text) -> (HTML of the text as Markdown, the names of its elements and attributes, the requests that it made)."""
    page = shown("talker")
    requests = []
    page.on("request", lambda request: requests.append(request.url))

    def make(text):
        html, names = page.evaluate(
            """async (text) => {
                const { markdown } = await import("/page/markdown.js");
                const box = document.createElement("div");
                document.body.append(box);
                box.append(markdown(text));
                await new Promise(done => setTimeout(done));
                const nodes = [...box.querySelectorAll("*")], names = nodes.flatMap(node => [node.localName, ...node.getAttributeNames()]);
                box.remove();
                return [box.innerHTML, names];
            }""",
            text,
        )
        return html, set(names), [url for url in requests if "/page/" not in url and not url.endswith("/v1/models")]

    return make


SAME = [
    ("a **b** *c* ~~d~~ `e*f`", "<p>a <strong>b</strong> <em>c</em> <del>d</del> <code>e*f</code></p>"),
    ("snake_case_name, 2 * 3 * 4, a*, **, \\*no\\*", "<p>snake_case_name, 2 * 3 * 4, a*, **, *no*</p>"),
    ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
    ("# A\n### B ##\ntext\nmore", "<h3>A</h3><h5>B</h5><p>text<br>more</p>"),
    ("- a\n- b\n  - c\n\n1. x\n2. y", '<ul><li>a</li><li><p>b</p><ul><li>c</li></ul></li></ul><ol start="1"><li>x</li><li>y</li></ol>'),
    ("3) a\n\n   more\n4) b", '<ol start="3"><li><p>a</p><p>more</p></li><li>b</li></ol>'),
    ("> a\n> - b\n\nc", "<blockquote><p>a</p><ul><li>b</li></ul></blockquote><p>c</p>"),
    ("a\n---\nb\n***", "<p>a</p><hr><p>b</p><hr>"),
    ("a `b", "<p>a `b</p>"),
    ("", ""),
]


def test_markdown_becomes_elements(made):
    for text, html in SAME:
        assert made(text)[0] == html, text


@pytest.mark.parametrize(("text", "code"), [
    ("```py\nx = 1\n\n# no heading\n```\nafter", "x = 1\n\n# no heading"),
    ("````\n```\ninner\n```\n````", "```\ninner\n```"),
    ("~~~\n```\n~~~", "```"),
    ("```html\n<script>alert(1)", "&lt;script&gt;alert(1)"),
    ("- a\n  ```\n    b\n  ```", "  b"),
])  # fmt: skip
def test_fences_nest_and_may_not_have_ended(made, text, code):
    html, *_ = made(text)
    assert f'<pre tabindex="0"><code>{code}</code></pre>' in html and html.count("<pre") == 1 and "Copy" in html


def test_a_table(made):
    html, *_ = made("| a | b |\n| --- | --: |\n| 1 \\| 2 | **3** |\n| short |\n\nafter | no table")
    assert html.count("<tr>") == 3 and html.count("<td") == 4 and "1 | 2" in html and '<td class="right"><strong>3</strong></td>' in html
    assert html.endswith("<p>after | no table</p>")


def test_only_https_is_a_link_and_it_tells_nobody_where_it_came_from(made):
    html, *_ = made("[a](https://example.org/x_y_z) https://example.org/b. <https://example.org/c>")
    assert html.count("<a ") == html.count('rel="noopener noreferrer"') == html.count('target="_blank"') == 3
    assert 'href="https://example.org/x_y_z"' in html and 'href="https://example.org/b"' in html
    for other in (
        "[a](javascript:alert(1))",
        "[a](http://x.example)",
        "[a](data:text/html,x)",
        "![a](file:///etc/passwd)",
        "[a](//x.example)",
    ):
        html, *_ = made(other)
        assert "<a" not in html and "<img" not in html, other


HARMLESS = {"p", "code", "pre", "div", "span", "button", "table", "thead", "tbody", "tr", "th", "td", "a"}
HARMLESS |= {"class", "type", "aria-label", "tabindex", "href", "target", "rel"}
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<svg/onload=window.hacked=1>",
    "[x](javascript:window.hacked=1)",
    "[x](https://a.example\" onmouseover=\"window.hacked=1)",
    "![x](https://a.example/x.png)",
    "`</code><script>window.hacked=1</script>`",
    "```\"><script>window.hacked=1</script>\n</code></pre><script>window.hacked=1</script>\n```",
    "| <b onclick=x> | b |\n| --- | --- |\n| <script>window.hacked=1</script> | <iframe src=//a.example> |",
    "&lt;script&gt; &#60;script&#62;",
]  # fmt: skip


def test_hostile_text_is_shown_and_does_nothing(made):
    for text in HOSTILE:
        html, names, requests = made(text)
        assert not requests and names <= HARMLESS, (text, html)


DEEP = [
    "> " * 3000,
    "- " * 3000,
    "*" * 20_000,
    "[" * 20_000,
    "`" * 20_000,
    "**a " * 5000,
    "_a" * 10_000,
    "| a " * 5000 + "|\n" + "|---" * 5000,
    "1. a\n" * 5000,
]


def test_no_text_holds_the_page_up(made):
    import time

    for text in DEEP:
        begun = time.monotonic()
        made(text)
        assert time.monotonic() - begun < 5, text[:20]  # 0.1 s is usual
