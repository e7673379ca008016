"""A page of ours in Chromium: what it asks for, whether it fits, and whether its text can be read."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZES = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
EVIL = '<script>window.hurt = 1</script><img src=x onerror="window.hurt = 1">"\'&lt;{{ 7 }}'
HOSTILE = [EVIL, "x" * 3000, "\u202eright to left \u05e9\u05dc\u05d5\u05dd", "\U0001f9d1\u200d\U0001f680 \u0301\u0301", "</script></svg>"]
# every text against the colour behind it: [ratio, text] of those below WCAG AA
CONTRAST = """() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [.2126, .7152, .0722][place], 0);
  const behind = (node) => { for (; node; node = node.parentElement) {
    const found = parse(getComputedStyle(node).backgroundColor); if (found[3] === 1) return found; } return [255, 255, 255]; };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), poor = [];
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const parent = node.parentElement, style = getComputedStyle(parent);
    if (!node.data.trim() || !parent.checkVisibility() || ["SCRIPT", "STYLE", "OPTION"].includes(parent.tagName)) continue;
    const color = parse(parent.namespaceURI.endsWith("svg") ? style.fill : style.color), pair = [light(color), light(behind(parent))];
    const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05), size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if (ratio < least || color[3] < 1) poor.push([ratio, node.data.trim().slice(0, 40)]);
  }
  return poor;
}"""


@contextmanager
def chromium():
    """A browser; skips the test where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here: `apt-get install chromium` to run this test")
    api = pytest.importorskip("playwright.sync_api", reason="no playwright here: install fmcycle[test]")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


def check(browser, file: Path) -> None:
    """The page fits at 1280 and 390 pixels, light and dark; loads nothing else; every anchor leads somewhere; no row's text runs."""
    for width, scheme in SIZES:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        asked, errors = [], []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (file.name, width)
        assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()] and not errors, (asked, errors)
        assert not page.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].filter((a) => !document.querySelector(a.hash)).length")
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
        assert len(ids) == len(set(ids)) and page.evaluate("window.hurt === undefined")
        assert page.locator("h1").count() == 1 and page.locator("script[src], link[href^=http]").count() == 0
        assert not (poor := page.evaluate(CONTRAST)), (file.name, scheme, poor[:5])
        page.close()
