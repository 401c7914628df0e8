"""A sign that stands for a ligature is found by the words it makes, not by a list of signs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.engines.layout.text_layer.ligatures import misspelt, repaired
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord


def words(text: str) -> list[LayoutWord]:
    return [LayoutWord(w, (9 * i, 0, 9 * i + 8, 9), 9.0, 0, 0) for i, w in enumerate(text.split())]


def text_of(parts: tuple[LayoutWord, ...]) -> str:
    return " ".join(w.text for w in parts)


@pytest.mark.parametrize("sign", ["ð", "\ue009", "\ufffd", "↵", "þ", "(", "\x0e", "Ł"])
@pytest.mark.parametrize(
    ("ligature", "text"),
    [
        ("fi", "The first fiscal figures were final."),
        ("ff", "Different efforts had an effect on staff."),
        ("fl", "The flow reflected inflation."),
        ("ffi", "Officers of the office are officially sufficient."),
        ("ti", "Information of the national section on time and action."),
        ("tt", "The letter of the committee was better written."),
        ("ft", "Often they left after the shift."),
        ("Th", "There are three. They know That Things."),
        ("fi", "Die Finanzen der Firma sind häufig definiert, sagt das Profil."),
        ("ff", "Les efforts et les différences se chiffrent, l'effet est officiel."),
        ("fi", "Los edificios y la oficina tienen un significado específico."),
    ],
)
def test_a_sign_that_makes_words_is_a_ligature(sign: str, ligature: str, text: str) -> None:
    """Whatever the sign, and whatever the ligature."""
    fixed, changed = repaired(words(text.replace(ligature, sign)))
    assert (text_of(fixed), changed) == (text, True)


def test_a_word_may_have_several_signs() -> None:
    """Each stands for its own ligature."""
    text = "informaƟon acƟon naƟonal aƩenƟon leƩer beƩer"
    fixed, _ = repaired(words(text))
    assert text_of(fixed) == "information action national attention letter better"


def test_many_words_are_enough_on_a_page_of_rare_words() -> None:
    """Most words of a page may be unknown."""
    rare = [f"{stem}ðx" for stem in ("ab", "cd", "gh", "jk", "lm", "np", "qr", "st", "vw")]
    known = ["ðrst", "ðscal", "speciðc", "deðned", "conðrmed"]
    fixed, changed = repaired(words(" ".join(rare + known)))
    assert changed
    assert text_of(fixed).endswith("first fiscal specific defined confirmed")


def test_words_of_the_page_are_evidence() -> None:
    """A rare word is known if the page has it elsewhere."""
    fixed, _ = repaired(words("sheri§s pu§y and later sheriffs puffy"))
    assert text_of(fixed) == "sheriffs puffy and later sheriffs puffy"


@pytest.mark.parametrize(
    "text",
    [
        "Það er gott veður í dag og ísinn á firðinum er góður.",
        "Først færdes børnene på øen, før de går i skole.",
        "naïve café façade coöperate Zürich",
        "f(x) g(x) is(are) word(s) item(s)",
        "a→b x→y left→right",
        "5 µm and 3 §a, no.§b",
        "Příliš žluťoučký kůň úpěl ďábelské ódy",
        "e-mail x@y.org and a@b.com",
        "the endings “re “ve “ll and #re #ve #ne",
        "“is “at “an “us “me “rough “and “or “if a “big “one “ship “sails",
        "L’île du maître connaît la boîte et l’hôtel",
        "el niño del año y la señora pequeña",
        "ações e informações da nação, são opções",
        "ʃɪp ðə fɪʃ θɪŋ ðæt ðɪs",
        "bir gün ışık ısı ıslak ılık",
        "Male (n=612) and female (n=914) of (n=1,526) the (nonce of (server-final-message",
        "»server-first-message« and »final« and »t« are quoted",
        "“rough “rm is quoted, ðrst is Icelandic",
        "ånden ånder sig og går på vandet, en ål så åen",
    ],
)
def test_other_languages_and_signs_stay(text: str) -> None:
    """A letter of another alphabet makes no English words."""
    fixed, changed = repaired(words(text))
    assert (text_of(fixed), changed) == (text, False)


def test_a_word_in_several_fonts_is_repaired_as_a_whole() -> None:
    """The sign may have a font of its own."""
    parts = [
        LayoutWord(t, (9 * i, 0, 9 * i + 8, 9), 9.0, 0, 0, glued=glued)
        for i, (t, glued) in enumerate(
            [("o", False), ("\ue009", True), ("ce", True), ("\ue009", False), ("rst", True)]
        )
    ]
    fixed, _ = repaired(parts)
    assert "".join(w.text for w in fixed) == "officefirst"


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_ascii_text_without_ligature_words_stays(text: str) -> None:
    """Nothing is invented."""
    said = words(text.replace("f", "x"))
    assert repaired(said)[0] == tuple(said)


@pytest.mark.parametrize("once", ["coe#cient", "e$ect", "bene↵t", "o%ce", "arti¢cial"])
def test_a_rare_sign_is_repaired_on_a_page_with_others(once: str) -> None:
    """It makes a frequent word, and the page is known to have such signs."""
    fixed, _ = repaired(words(f"the ðrst ðscal year is deðned by the {once} alone"))
    assert fixed[-2].text in ("coefficient", "effect", "benefit", "office", "artificial")


def test_a_symbol_inside_a_single_word_is_repaired() -> None:
    """A symbol never stands there; a letter may belong to a name."""
    assert text_of(repaired(words("all e↵orts count"))[0]) == "all efforts count"
    assert text_of(repaired(words("all eðorts count"))[0]) == "all eðorts count"


@pytest.mark.parametrize(
    "text",
    ["po£ka wa£ek pi£ka", "gefŸhrt fŸr rŸhrt", "qui¿xo ma¿xa tre¿xo", "zu◊ru pa◊ra mi◊na"],
)
def test_words_that_no_language_writes_are_misspelt(text: str) -> None:
    """A symbol or a capital of another alphabet stands inside of several of them."""
    found = misspelt(words(f"plain words around {text} and more of them here"))
    assert {w.text for w in found} == set(text.split())


def test_a_line_of_a_misspelt_font_is_misspelt_as_a_whole() -> None:
    """Its short words have no sign that tells. Other lines stay."""
    wrong = words("• ]üìÜüéê •ìê °ê£ë†£ûÜüéê †ë Ü û†èê£üî±Ü •¶ì ó∞")
    right = [replace(w, line=1) for w in words("The price is £5 or £6 per café")]
    more = [replace(w, line=2) for w in words("pêó∞ †ü aTe")]
    found = misspelt([*wrong, *right, *more])
    assert {w.line for w in found} == {0, 2}
    assert set(more) <= found
    assert [w.text for w in wrong if w not in found] == ["•"]


@pytest.mark.parametrize(
    "text",
    [
        "col·lecció il·lustracions excel·lent intel·ligent",
        "read→write input→output start→stop",
        "x∈y a×b n°b n°c n°d f∘g",
        "Übung straße größe Çelebi İstanbul ıslak",
        "dvořákŮv příliš žluťoučký",
        "Παρά ταύτα это русский текст",
    ],
)
def test_true_words_are_not_misspelt(text: str) -> None:
    """Letters of the alphabet, a middle dot, operators between names."""
    assert not misspelt(words(text))
