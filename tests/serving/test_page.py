"""The page in headless Chromium: a question, a streamed answer, a thumb, a comment and a better answer, all in the store."""

import sqlite3

import families
import pytest


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
    policy = page.reload().headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    page.locator("#model", has_text="fmcycle:").wait_for(state="attached")
    assert all(url.startswith((server.url, "data:")) for url in requests)
    unnamed = (
        "[...document.querySelectorAll('button,textarea,select,input')].filter(e => !e.textContent.trim() && !e.labels?.length).length"
    )
    assert page.evaluate(unnamed) == 0


def answered(page, button):
    page.get_by_role("button", name=button, exact=True).click()
    answer = page.get_by_label("Answer", exact=True)
    answer.get_by_role("button", name="Good").wait_for(timeout=20_000)
    return answer


@pytest.fixture
def files(tmp_path):
    for name, content in (("a.png", families.PNG), ("b.png", families.OTHER_PNG), ("a.wav", families.WAV)):
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_classifier_shows_its_labels_and_takes_the_right_one(shown, served):
    page = shown("text_classifier")
    page.get_by_label("A text to classify").fill("the bucket")
    answer = answered(page, "Classify")
    assert answer.locator("dt").count() == 3 and "%" in answer.locator(".share").first.inner_text()
    answer.get_by_role("button", name="Comment or correct").click()
    page.get_by_label("The right label").fill("a better label")
    assert answer.locator("datalist option").count() == 3
    page.get_by_role("button", name="Send feedback").click()
    answer.locator("form.feedback").wait_for(state="hidden")
    assert served("text_classifier").kept()[-1]["corrected"] == "a better label"


def test_vectors_pictures_and_transcripts_are_shown(shown, files):
    page = shown("clip")
    page.get_by_label("A text", exact=True).fill("the bucket")
    page.get_by_label("One picture or two").set_input_files(files / "a.png")
    assert "Cosine similarity" in answered(page, "Embed").locator(".text").inner_text()
    page = shown("diffusion")
    page.locator("#class").select_option("owl")
    page.get_by_label("How many").fill("2")
    assert answered(page, "Draw").locator("img").count() == 2
    page = shown("pixel_decoder")
    assert not page.locator("#words").is_visible() and answered(page, "Draw").locator("img").count() == 1
    page = shown("speech")
    page.get_by_label("A sound").set_input_files(files / "a.wav")
    assert answered(page, "Write down").locator(".text").inner_text() == "the bucket"


def test_a_chat_with_a_picture(shown, files):
    page = shown("vision_language")
    for name, said in zip(("a.png", "b.png"), families.NAMES, strict=True):
        page.get_by_label("A picture").set_input_files(files / name)
        page.get_by_label("Your message").fill("name it")
        assert answered(page, "Send").locator(".text").inner_text() == said
        page.get_by_role("button", name="Start anew").click()
