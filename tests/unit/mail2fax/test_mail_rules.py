"""Subjects, PINs and a person's own words: whatever people and strangers write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.mail2fax.mail_text import (
    HIDDEN,
    MOST_TEXT,
    Wanted,
    holds_pin,
    own_text,
    pin_candidates,
    read_subject,
    text_of_html,
    wishes_in,
    without_pins,
)
from tests.waiting import little_work

WORDS = st.text(st.characters(blacklist_categories=("Cs", "Nd")), max_size=40)


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [
        ("0501234567", Wanted("0501234567")),
        ("  +39 050 / 123-45.67 ", Wanted("+39 050 / 123-45.67")),
        ("(050) 1234567@frontdesk", Wanted("(050) 1234567", "frontdesk")),
        ("050 1234567 @ Front desk", Wanted("050 1234567", "Front desk")),
        ("\u202a+39 050 1234567\u202c", Wanted("+39 050 1234567")),
        ("test 0501234567", Wanted("0501234567", None, True)),
        ("TEST: 0501234567@a", Wanted("0501234567", "a", True)),
        ("501", Wanted("501")),
        ("Re: 0501234567", Wanted("0501234567")),
        ("R: I: 0501234567", Wanted("0501234567")),
        ("[EXTERNAL] 0501234567", Wanted("0501234567")),
        ("Fax: 050 1234567@a", Wanted("050 1234567", "a")),
        ("[EXT] Re: Fax an: 0501234567", Wanted("0501234567")),
        ("\u201c0501234567\u201d", Wanted("0501234567")),
        ("050\u00a01234567", Wanted("050 1234567")),
        ("\uff10\uff15\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17", Wanted("0501234567")),
        ("0501234567@Su\u0308d", Wanted("0501234567", "S\u00fcd")),
    ],
)
def test_a_number_is_read_as_people_type_it(subject: str, wanted: Wanted):
    assert read_subject(subject) == wanted


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "Re: your fax 0501234567",
        "[ticket 12] 0501234567",
        "0501234567, 0501234568",
        "0501234567 please",
        "0501234567@",
        "@frontdesk",
        "testing 0501234567",
        "+",
        "0501234567,,1",
        "1@2@" + "x" * 200,
    ],
)
def test_a_subject_with_anything_else_is_no_number(subject: str):
    assert read_subject(subject) is None


@given(st.text(max_size=80))
def test_no_subject_breaks_the_reading(subject: str):
    wanted = read_subject(subject)
    assert wanted is None or any(sign.isdigit() for sign in wanted.number)


@given(st.from_regex(r"[0-9]{3,15}", fullmatch=True), st.from_regex(r"[a-z][a-z ]{0,20}[a-z]", fullmatch=True))
def test_number_and_entity_come_back_as_written(number: str, entity: str):
    assert read_subject(f"{number}@{entity}") == Wanted(number, " ".join(entity.split()))


@pytest.mark.parametrize(
    "text",
    [
        "PIN 4711",
        "pin: 4711",
        "PIN=4711",
        "4711",
        "Hello,\n4711\nBob",
        "(4711)",
        "My PIN is 4711.",
        "PIN 4711, 3 pages",
        "*PIN 4711*",
        "*4711*",
        "PIN-4711",
        "PIN4711",
        "PIN: *4711*",
        "PIN\u00a04711",
        "PIN\u20094711",
        "\ufeffPIN 4711\u200b",
        "\u200e4711\u200e",
        "ＰＩＮ：４７１１",
        "Il PIN e' 4711",
        "Hello\n\nPIN 4711\n\nBob\n56121 Pisa\nTel. 050 965564",
    ],
)
def test_a_pin_of_its_own_counts(text: str):
    assert holds_pin(text, "4711") is True


@pytest.mark.parametrize(
    "text",
    [
        "47110",
        "14711",
        "050 4711 23",
        "050-4711",
        "+4711",
        "4711,00 euro",
        "12.4711",
        "x4711",
        "4711x",
        "4711@alpha.test",
        "https://alpha.test/4711/",
        "PIN 4711 23",
        "٤٧١١",
    ],
)
def test_a_pin_as_a_part_of_something_else_does_not(text: str):
    assert holds_pin(text, "4711") is not True


def test_without_anything_like_a_pin_it_is_missing_and_not_wrong():
    assert holds_pin("Hello, please send this.", "4711") is None
    assert holds_pin("PIN 4712", "4711") is False


@pytest.mark.parametrize("text", ["Bob Rossi\n56121 Pisa", "the code 4711 of yours", "call 4711", "order A4711B"])
def test_a_postcode_or_a_number_in_running_text_is_no_try(text: str):
    assert holds_pin(text, "4711") is None


def test_letters_are_a_pin_where_the_word_stands_before_them():
    assert holds_pin("PIN geheim", "geheim") is True
    assert holds_pin("The PIN required is unknown to me", "geheim") is None


@pytest.mark.parametrize("join", ["\n", "\nPIN ", " PIN "])
def test_a_list_of_guesses_is_one_wrong_guess(join: str):
    assert holds_pin(join + join.join(f"{n:04}" for n in range(10_000)), "4711") is not True


@pytest.mark.parametrize("join", ["\n", "\nPIN "])
def test_a_list_of_guesses_that_are_put_forward_counts_as_a_try(join: str):
    assert holds_pin(join + join.join(f"{n:04}" for n in range(10_000)), "4711") is False


@given(st.from_regex(r"[0-9]{4,8}", fullmatch=True), WORDS, WORDS)
def test_a_pin_on_a_line_of_its_own_is_found_whatever_words_stand_around(pin: str, before: str, after: str):
    assert holds_pin(f"{before}\n{pin}\n{after}", pin) is True


@given(st.from_regex(r"[0-9]{4,8}", fullmatch=True), st.from_regex(r"[0-9]{1,6}", fullmatch=True))
def test_a_pin_inside_of_longer_digits_is_never_found(pin: str, more: str):
    for text in (pin + more, more + pin, f"{more} {pin}", f"{pin} {more}", f"{more}-{pin}"):
        if text != pin and more != pin:
            assert holds_pin(text, pin) is not True


@given(st.from_regex(r"[0-9]{4,8}", fullmatch=True), WORDS)
def test_a_hidden_pin_stands_nowhere(pin: str, words: str):
    assert pin not in without_pins(f"{words} {pin} {words} {pin}", [pin])


@pytest.mark.parametrize("written", ["PIN4711", "pin４７１１", "４７１１", "٤٧١١", "ＰＩＮ４７１１", "letter_4711.pdf"])
def test_a_hidden_pin_is_recognised_in_no_spelling(written: str):
    hidden = without_pins(f"0501234567 {written} 1", ["4711"])
    assert HIDDEN in hidden
    assert not any(sign.isdecimal() for sign in hidden.removeprefix("0501234567").removesuffix("1"))
    assert without_pins("050 14711 47112", ["4711"]) == "050 14711 47112"


@pytest.mark.parametrize(
    "quote",
    [
        "> PIN 4711",
        "On Mon, 23 Nov 2026 at 10:00, Alice <alice@alpha.test> wrote:\nPIN 4711",
        "On Mon, 23 Nov 2026 at 10:00, Alice\n<alice@alpha.test> wrote:\nPIN 4711",
        "Il giorno lun 23 nov 2026 alle 10:00 Alice ha scritto:\nPIN 4711",
        "-----Original Message-----\nPIN 4711",
        "________________________________\nPIN 4711",
        "From: Alice <alice@alpha.test>\nPIN 4711",
        "-- \nPIN 4711",
    ],
)
def test_what_is_quoted_is_not_the_persons_own(quote: str):
    assert "4711" not in own_text(f"Please send it.\n\n{quote}\n")
    assert "Please send it." in own_text(f"Please send it.\n\n{quote}\n")


@pytest.mark.parametrize(
    "html",
    [
        "<p>Hello</p><blockquote>PIN 4711</blockquote>",
        '<p>Hello</p><div class="gmail_quote">On … <p>PIN 4711</p></div>',
        '<p>Hello<span style="display:none">PIN 4711</span></p>',
        "<style>4711</style><p>Hello</p><script>4711</script>",
        "<!-- 4711 --><p>Hello</p>",
        '<p title="4711">Hello</p>',
    ],
)
def test_what_a_reader_of_the_page_does_not_see_as_the_persons_words_does_not_count(html: str):
    assert "4711" not in text_of_html(html)
    assert "Hello" in text_of_html(html)


def test_a_pin_in_html_only_is_found():
    assert (
        holds_pin(own_text(text_of_html("<html><body><div>PIN&nbsp;<b>4711</b></div></body></html>")), "4711") is True
    )


@pytest.mark.parametrize(
    "text", ["pin" + "*" * MOST_TEXT, "pin" + " " * MOST_TEXT, "*" * 999 + "pin" + '"' * MOST_TEXT + "!"]
)
def test_marks_without_end_are_read_at_once(text: str):
    with little_work(5):
        assert pin_candidates(text[:MOST_TEXT]) == []


@pytest.mark.parametrize("begin", ["<p ", "<!--", "<b>", "<i></b>", "</a ", "<![", "<![x[", "<a href='"])
def test_a_page_that_closes_nothing_is_read_at_once(begin: str):
    with little_work(5):
        assert text_of_html("<p>PIN 4711</p>" + begin * MOST_TEXT).strip() == "PIN 4711"


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        *(("<br", ""), ("<p class='1", ""), ("<!-- 1", ""), ("<![ 1", ""), ("<![ 1>", ""), ("<![if !mso]>", "")),
        *(("&lt", "<"), ("&", "&"), ("< 1", "< 1"), ("<", "<"), ("B & B", "B & B")),
    ],
)
def test_of_the_end_of_a_page_that_stands_there_which_a_browser_shows(end: str, shown: str):
    assert text_of_html(f"PIN 4711 {end}").split() == ["PIN", "4711", *shown.split()]


@given(st.text(max_size=300))
def test_no_page_breaks_the_reading(html: str):
    own_text(text_of_html(html))
    wishes_in(html)


def test_a_number_on_a_line_of_its_own_is_a_wish_and_a_pin_is_not():
    assert wishes_in("Fax: 050 1234567@a\nPIN 4711\n4711\nthanks 0501234567") == [Wanted("050 1234567", "a")]
