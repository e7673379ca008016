"""Conversations on the page in headless Chromium: a model that knows its answers by heart, and all that a person does with them."""

import asyncio
import json

import families
import pytest

from fmcycle.source import reader
from tests.helpers.browser import CONTRAST

ASKED, SAID = next(iter(families.ANSWERS.items()))


def ask(page, text=ASKED):
    """Send a question and return its answer once it is there."""
    before = page.get_by_label("Answer", exact=True).count()
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")
    return done(page, before)


def done(page, number=-1):
    answer = page.get_by_label("Answer", exact=True).nth(number)
    page.locator("#send:not([hidden])").wait_for(timeout=20_000)
    page.locator(".turn.busy").wait_for(state="detached")
    return answer


def sent(page):
    """The bodies that the page asks with from now on."""
    bodies = []
    page.on("request", lambda request: bodies.append(request.post_data_json) if request.url.endswith("/completions") else None)
    return bodies


def test_an_answer_is_markdown_and_can_be_copied_and_comes_again_after_a_reload(shown, served):
    page = shown("talker")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = ask(page)
    assert answer.locator("strong").inner_text() == "put" and answer.locator("li").count() == 2
    assert answer.locator("pre").inner_text() == "put(1)"
    answer.get_by_role("button", name="Copy", exact=True).last.click()
    assert page.evaluate("navigator.clipboard.readText()") == SAID
    answer.get_by_role("button", name="Copy this code").click()
    assert page.evaluate("navigator.clipboard.readText()") == "put(1)"
    answer.get_by_role("button", name="Good").click()
    answer.get_by_text("Kept, thank you.").wait_for()
    assert served("talker").kept()[-1]["rating"] == 1
    page.reload()
    answer = page.get_by_label("Answer", exact=True)
    assert answer.locator("strong").inner_text() == "put"
    assert answer.get_by_role("button", name="Good").get_attribute("aria-pressed") == "true"


def test_a_conversation_is_found_opened_and_deleted_in_the_history(shown):
    page = shown("talker")
    ask(page)
    second = ask(page, "Emoji?").locator(".text").inner_text()
    page.get_by_role("button", name="Start anew").click()
    assert page.get_by_label("Answer", exact=True).count() == 0
    ask(page, "Emoji?")
    page.reload()
    page.locator("#history .open").nth(1).wait_for()
    assert page.locator("#history .open").all_inner_texts() == ["Emoji?", ASKED]
    page.locator("#history .open").nth(1).click()
    assert page.get_by_label("Answer", exact=True).count() == 2
    assert page.get_by_label("Answer", exact=True).last.locator(".text").inner_text() == second
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=f"Delete: {ASKED}").click()
    assert page.locator("#history .open").all_inner_texts() == ["Emoji?"] and page.get_by_label("Answer", exact=True).count() == 0


def test_another_answer_is_drawn_and_the_former_can_be_paged_to(shown):
    page = shown("talker")
    bodies = sent(page)
    answer = ask(page)
    answer.get_by_role("button", name="Regenerate").click()
    answer = done(page)
    assert bodies[1]["temperature"] > 0 and bodies[0]["messages"] == bodies[1]["messages"] and bodies[0]["seed"] != bodies[1]["seed"]
    assert answer.locator(".pages span").inner_text() == "2 of 2"
    answer.get_by_role("button", name="Former answer").click()
    assert answer.locator(".pages span").inner_text() == "1 of 2" and answer.locator("strong").inner_text() == "put"
    assert answer.get_by_role("button", name="Former answer").is_disabled()
    ask(page, "Emoji?")
    assert bodies[2]["messages"][1]["content"] == SAID  # the answer that is shown is the one that counts
    assert page.get_by_role("button", name="Regenerate").count() == 1  # of the last question: later ones follow the others' answers


def test_the_settings_are_sent_kept_and_reset(shown):
    page = shown("talker")
    bodies = sent(page)
    page.get_by_role("button", name="Settings").click()
    assert page.get_by_label("Longest answer").get_attribute("placeholder") == "256"
    for label, value in (("System prompt", "Be brief."), ("Temperature", "0.5"), ("Longest answer", "7"), ("Seed", "11")):
        page.locator("dialog").get_by_label(label).fill(value)
    page.get_by_role("button", name="Keep").click()
    page.reload()
    page.locator("#model", has_text="fmcycle:").wait_for()
    ask(page)
    body = bodies[-1]
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 7, 11)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Temperature").fill("3")
    page.get_by_role("button", name="Keep").click()
    assert page.locator("#settings[open]").count() == 1  # the server would refuse it, and so does the form
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("button", name="Keep").click()
    ask(page)
    assert not {"temperature", "max_tokens"} & set(bodies[-1]) and bodies[-1]["messages"][0]["role"] == "user"


def limited(page, tokens):
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Longest answer").fill(str(tokens))
    page.get_by_role("button", name="Keep").click()


def test_an_answer_at_the_limit_says_so_and_goes_on_with_the_same_words(shown):
    page = shown("talker")
    limited(page, 30)
    bodies = sent(page)
    answer = ask(page)
    assert "Cut at the limit of tokens." in answer.inner_text()
    cut = answer.locator(".text").inner_text()
    answer.get_by_role("button", name="Continue").click()
    answer = done(page)
    assert bodies[1]["max_tokens"] == 60 and bodies[1]["seed"] == bodies[0]["seed"]
    assert "Cut" not in answer.inner_text() and answer.locator("pre").inner_text() == "put(1)" and not cut.endswith("put(1)")
    assert page.get_by_label("Answer", exact=True).count() == 1 and not answer.locator(".pages").is_visible()


def test_a_refusal_is_called_one(shown):
    answer = ask(shown("talker"), "Tell me about a dog")
    assert "Refused by a guard" in answer.inner_text() and "refused" in answer.get_attribute("class")


def test_a_question_in_other_words_starts_a_conversation_of_its_own(shown):
    page = shown("talker")
    ask(page)
    ask(page, "Emoji?")
    page.get_by_role("button", name="Edit").first.click()
    assert page.get_by_label("Your message").input_value() == ASKED
    page.get_by_label("Your message").fill("Emoji?")
    page.keyboard.press("Enter")
    done(page)
    assert page.get_by_label("Answer", exact=True).count() == 1
    assert page.locator("#history .open").all_inner_texts() == ["Emoji?", ASKED]


@pytest.fixture
def slowly(served, monkeypatch):
    """Answers of the talker come at ten tokens a second."""
    engine = served("talker").assistant.engine
    whole = engine.stream

    async def slow(handle):
        async for token in whole(handle):
            await asyncio.sleep(0.1)
            yield token

    monkeypatch.setattr(engine, "stream", slow)


def test_escape_stops_an_answer_and_what_came_is_kept(shown, slowly):
    page = shown("talker")
    page.get_by_label("Your message").fill(ASKED)
    page.keyboard.press("Enter")
    page.locator(".turn.busy .text", has_text="Use").wait_for()
    page.keyboard.press("Escape")
    answer = done(page)
    assert "You stopped this answer." in answer.inner_text() and "put(1)" not in answer.inner_text()
    assert page.evaluate("document.activeElement.id") == "message"
    page.reload()
    assert "You stopped this answer." in page.get_by_label("Answer", exact=True).inner_text()


def test_a_conversation_that_is_deleted_while_an_answer_comes_stays_deleted(shown, slowly):
    page = shown("talker")
    page.on("dialog", lambda dialog: dialog.accept())
    ask(page)
    page.get_by_label("Your message").fill("Emoji?")
    page.keyboard.press("Enter")
    page.locator(".turn.busy .text :not(:empty)").wait_for()
    page.get_by_role("button", name="Delete all").click()
    page.locator("#send:not([hidden])").wait_for()
    page.reload()
    page.locator("#model", has_text="fmcycle:").wait_for()
    assert page.locator("#history .open").count() == page.get_by_label("Answer", exact=True).count() == 0


def failing(page, **response):
    page.route("**/v1/chat/completions", lambda route: route.fulfill(**response) if response else route.abort())


@pytest.mark.parametrize(
    ("response", "told"),
    [
        ({"status": 503, "headers": {"retry-after": "7"}, "json": {"error": {"message": "no place"}}}, "no place (in 7 s)"),
        ({"status": 502, "body": "<html>proxy</html>"}, "status 502"),
        ({}, "The server does not answer."),
    ],
)  # fmt: skip
def test_a_failure_is_told_and_the_question_can_be_sent_again(browser, site, response, told):
    page = browser.new_context().new_page()
    page.goto(site("talker"))
    page.locator("#model", has_text="fmcycle:").wait_for()
    failing(page, **response)
    answer = ask(page)
    assert told in answer.inner_text()
    page.unroute("**/v1/chat/completions")
    answer.get_by_role("button", name="Try again").click()
    assert done(page).locator("strong").inner_text() == "put"
    assert page.get_by_label("You", exact=True).count() == 1
    page.context.close()


def test_another_model_is_told_where_its_answers_begin(shown, served):
    page = shown("talker")
    ask(page)
    assistant = served("talker").assistant
    before, assistant.package = assistant.package, assistant.package | {"tag": "feed"}
    try:
        answer = ask(page, "Emoji?")
    finally:
        assistant.package = before
    assert "Another model answers from here: fmcycle:feed" in answer.inner_text()


def test_the_exported_conversations_are_instructions(shown, tmp_path):
    page = shown("talker")
    first = ask(page)
    first.get_by_role("button", name="Comment or correct").click()
    page.get_by_label("A better answer").fill("Use put.")
    page.get_by_role("button", name="Send feedback").click()
    first.locator("form.feedback").wait_for(state="hidden")
    poor = ask(page, "Emoji?")
    poor.get_by_role("button", name="Poor").click()
    poor.get_by_text("Kept, thank you.").wait_for()
    page.get_by_role("button", name="Start anew").click()
    ask(page, "Tell me about a dog")  # a refusal alone teaches nothing
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as JSONL").click()
    (tmp_path / "raw").mkdir()
    download.value.save_as(tmp_path / "raw/conversations.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "raw/conversations.jsonl").read_text().splitlines()]
    assert [turn.get("weight", 1) for row in rows for turn in row["messages"] if turn["role"] == "assistant"] == [1, 0]
    (row,) = reader.read(tmp_path / "raw").tables["instructions"].to_dicts()
    assert [turn["content"] for turn in row["messages"][:2]] == [ASKED, "Use put."] and row["id"].startswith("chat/")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window_and_the_keyboard_reaches_all(shown, width):
    page = shown("talker", width)
    ask(page)
    ask(page, "Tell me about a dog")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert not (poor := page.evaluate(CONTRAST)), (scheme, poor)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))
    assert {"History", "Settings", "Start anew", "Regenerate", "Good", "Poor", "Comment or correct", "message"} <= reached
