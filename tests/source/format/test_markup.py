from fmcycle.source.format.markup import lead, plain, sentences, shorten, without_pointers

SQS = (
    "<note> <p>Read this first.</p> </note><p>Delivers a message to the specified queue.</p> "
    "<important> <p>A message can include "
    '<code>XML</code> &amp; JSON. For more information, see the <a href="http://www.w3.org/">W3C specification</a>.</p> '
    "</important> "
    "<ul> <li> <p>Every message must have an ID , e.g. 7.</p> </li> <li>Retry.</li> </ul> "
    "<dl> <dt>Name</dt> <dd> <p>Its name.</p> </dd> </dl>"
)


def test_markup_becomes_paragraphs_and_items():
    assert plain(SQS) == (
        "Delivers a message to the specified queue.\n\nA message can include XML & JSON. For more information, see the W3C specification.\n"
        "- Every message must have an ID, e.g. 7.\n- Retry.\n- Name: Its name."
    )


def test_plain_text_stays_as_it_is():
    assert plain("If a < b and b > c, then 3 &lt; 4.") == "If a < b and b > c, then 3 < 4."


def test_sentences_that_only_point_elsewhere_go():
    text = (
        "Starts a job. For more information, see Jobs in the Guide. It ends by itself.\n\nSee also Stop.\n\n"
        "To learn more about roles, see Roles."
    )
    assert without_pointers(text) == "Starts a job. It ends by itself."


def test_abbreviations_end_no_sentence():
    assert sentences("Use a name, e.g. Main. Then call it.") == ["Use a name, e.g. Main.", "Then call it."]


def test_the_lead_is_a_sentence_and_a_second_only_where_the_first_is_short():
    text = "Lists jobs. Jobs are sorted by date. A third.\n\nAnother paragraph."
    assert lead(text, 100) == "Lists jobs."
    assert lead(text, 100, enough=30) == "Lists jobs. Jobs are sorted by date."
    assert lead(text, 5) == ""
    assert lead("It can be one of the following:\n- A", 100) == ""


def test_a_text_is_cut_after_a_whole_paragraph():
    assert shorten("One two.\n\nThree four.\n\nFive.", 22) == "One two.\n\nThree four."
    assert shorten("A very long paragraph.", 5) == "A very long paragraph."
    assert shorten("One.\n\nThe kinds are:\n\n" + "x" * 50, 30) == "One."
