"""The page in headless Chromium: a question, a streamed answer, a thumb, a comment and a better answer, all in the store."""

import shutil
import sqlite3

import pytest


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here: `apt-get install chromium` to run this test")
    api = pytest.importorskip("playwright.sync_api", reason="no playwright here: install fmcycle[test]")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    page = browser.new_page()
    page.wrong = []
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(server.url + "/")
    yield page
    page.close()


def kept(root, sql):
    with sqlite3.connect(root / "store/feedback.db") as connection:
        return connection.execute(sql).fetchall()


def test_a_conversation_with_feedback_reaches_the_store(page, project_with_model):
    page.get_by_label("Your message").fill("What is a bucket?")
    page.keyboard.press("Enter")
    answer = page.get_by_label("Answer", exact=True)
    answer.get_by_role("button", name="Good").wait_for(timeout=30_000)
    assert answer.locator(".text").inner_text().startswith("The bucket holds objects.")
    answer.get_by_role("button", name="Good").click()
    answer.get_by_text("Kept, thank you.").wait_for()
    assert answer.get_by_role("button", name="Good").get_attribute("aria-pressed") == "true"
    answer.get_by_role("button", name="Comment or correct").click()
    page.get_by_label("Comment", exact=True).fill("too vague")
    page.get_by_label("A better answer").fill("A bucket holds objects.")
    page.get_by_label("You are").select_option("expert")
    page.get_by_role("button", name="Send feedback").click()
    answer.locator("form.feedback").wait_for(state="hidden")
    rows = kept(project_with_model, "SELECT rating, comment, corrected, preferred, role FROM feedback ORDER BY number DESC LIMIT 2")
    assert rows[::-1] == [(1, "", "", "", "user"), (0, "too vague", "A bucket holds objects.", "corrected", "expert")]
    assert not page.wrong


def test_a_refusal_by_the_service_is_shown(page):
    page.get_by_label("Your message").fill("word " * 400)
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_label("Answer", exact=True).get_by_text("exceed the model's context").wait_for(timeout=10_000)


def test_every_control_has_a_name_and_nothing_comes_from_elsewhere(page, server):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    page.wait_for_function("document.querySelector('#model').textContent.startsWith('fmcycle:')")
    assert all(url.startswith((server.url, "data:")) for url in requests)
    unnamed = "[...document.querySelectorAll('button,textarea,select')].filter(e => !e.textContent.trim() && !e.labels?.length).length"
    assert page.evaluate(unnamed) == 0
