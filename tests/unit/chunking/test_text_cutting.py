from __future__ import annotations

import pytest

from opticalrag.ingest.chunking.text_cutting import cut_text, last_sentences


def split(text: str, size: int, avoid: list[tuple[int, int]] | None = None) -> list[str]:
    return [text[a:b] for a, b in cut_text(text, lambda a, b: b - a, lambda _: size, avoid or [])]


@pytest.mark.parametrize(
    "text",
    [
        "这是第一句话，比较长一些。这是第二句话，也比较长。",
        "これは最初の文です、少し長い。これは二番目の文です。",
        "هل هذا هو السؤال الأول هنا؟ هذه هي الجملة الثانية.",
        "이것은 첫 번째 문장입니다. 이것은 두 번째 문장입니다.",
        "यह पहला वाक्य है और लंबा है। यह दूसरा वाक्य है।",
    ],
)
def test_sentences_of_any_script_are_kept_whole(text: str) -> None:
    """A cut falls after the mark that ends a sentence, with or without a space."""
    first = split(text, int(len(text) * 0.7))[0]

    assert first[-1] in "。؟.।"


def test_thai_is_cut_at_its_spaces_and_never_inside_a_syllable() -> None:
    """Spaces separate phrases; vowels and tone marks stay with their consonant."""
    text = "กังหันลมหยุดทำงาน เพราะต้องเปลี่ยนปั๊มน้ำ"

    assert split(text, 25)[0] == "กังหันลมหยุดทำงาน"
    assert all(piece[0] not in "\u0e31\u0e34\u0e48\u0e49\u0e4a" for piece in split(text, 4))


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    """A lower-case letter or a digit continues the sentence."""
    text = "It is shown in Fig. 3 and others. Next sentence here."

    assert split(text, 40)[0] == "It is shown in Fig. 3 and others."


def test_a_word_is_cut_only_if_it_is_longer_than_a_piece() -> None:
    """Words stay whole even if a fuller piece would be possible."""
    assert split("ab supercalifragilistic", 20) == ["ab", "supercalifragilistic"]


def test_protected_ranges_stay_whole() -> None:
    """A formula inside a sentence stays whole."""
    text = "we know that $a + b + c$ holds"
    at = text.index("$")

    assert split(text, 18, [(at, at + 11)]) == ["we know that", "$a + b + c$ holds"]


@pytest.mark.parametrize("cluster", ["👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "e\u0301"])
def test_characters_of_several_code_points_stay_whole(cluster: str) -> None:
    """No piece begins with a joiner, a flag's second half, a skin tone or an accent."""
    pieces = split(cluster * 10, len(cluster) + 1)

    assert all(piece.startswith(cluster[0]) for piece in pieces)


def test_a_piece_is_measured_again_where_its_cut_moved_back() -> None:
    """Fewer characters can be more tokens: half a word may not be in the vocabulary."""
    text = "xxxx yyyyzzzz and so on"

    def measure(start: int, end: int) -> int:
        return 99 if (start, end) == (0, 4) else end - start

    pieces = list(cut_text(text, measure, lambda _: 7))
    assert all(measure(a, b) <= 7 for a, b in pieces)


def test_the_last_sentences_are_whole() -> None:
    """Overlap never begins in the middle of a sentence."""
    assert last_sentences("First one. Second one. Third.", lambda t: len(t) < 20) == (
        "Second one. Third."
    )
    assert last_sentences("A single sentence that is far too long.", lambda t: len(t) < 5) == ""


def test_code_is_cut_between_lines_that_keep_their_indentation() -> None:
    """Python code needs its indentation."""
    text = "    a = 1\n    if a:\n        b(a, a. c)\n\n    d = 2"
    pieces = [text[a:b] for a, b in cut_text(text, lambda a, b: b - a, lambda _: 24, lines=True)]

    assert pieces == ["    a = 1\n    if a:", "        b(a, a. c)", "    d = 2"]
