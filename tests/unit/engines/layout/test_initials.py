"""A large initial belongs to the first word of its text, unless it is a word itself."""

from __future__ import annotations

import pytest

from opticalrag.ingest.engines.layout.text import rows_of, running_text
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord


def with_initial(
    initial: str, text: str, size: float = 30.0, gap: float = 2.0, dropped: bool = True
) -> str:
    """Return the text of a row: an initial, and a line at its top or at its foot."""
    first = LayoutWord(initial, (0.0, 0.0, 20.0, size), size, 0, 0)
    words, x, y = [first], 20.0 + gap, 0.2 * size if dropped else size - 10.0
    for part in text.split():
        words.append(LayoutWord(part, (x, y, x + 5.0 * len(part), y + 10), 10.0, 1, 0))
        x += 5.0 * len(part) + 5.0
    return running_text(rows_of(words))


@pytest.mark.parametrize("size", [22.0, 30.0, 42.0])
@pytest.mark.parametrize("gap", [0.5, 4.0])
def test_a_large_initial_belongs_to_its_word(size: float, gap: float) -> None:
    """It is set over several lines."""
    assert with_initial("T", "he keeper climbs", size, gap) == "The keeper climbs"


@pytest.mark.parametrize(
    ("initial", "text", "expected"),
    [
        ("A", "fter the storm", "After the storm"),
        ("A", "ll boats", "All boats"),
        ("A", "s the fog lifts", "As the fog lifts"),
        ("A", "mong the boats", "Among the boats"),
        ("I", "n the morning", "In the morning"),
        ("I", "ts lamp is lit", "Its lamp is lit"),
        ("É", "tant donné le vent", "Étant donné le vent"),
        ("A", "new lamp", "A new lamp"),
        ("A", "storm came", "A storm came"),
        ("I", "was the keeper", "I was the keeper"),
        ("I", "have seen it", "I have seen it"),
        ("T", "HE KEEPER climbs", "THE KEEPER climbs"),
        ("B", "EFORE dawn he", "BEFORE dawn he"),
    ],
)
def test_the_letters_tell_whether_an_initial_is_a_word(
    initial: str, text: str, expected: str
) -> None:
    """ "A" and "I" are words where the text could not go on with the rest of one."""
    assert with_initial(initial, text) == expected


@pytest.mark.parametrize(
    ("initial", "text", "options"),
    [
        ("A", "Keeper climbs", {}),
        ("T", "he keeper climbs", {"gap": 40.0}),
        ("T", "he keeper climbs", {"size": 12.0}),
        ("B", "DNA of the cells", {"dropped": False}),
        ("B", "ALL IN CAPITALS", {}),
        ("7", "he keeper climbs", {}),
    ],
)
def test_other_large_letters_stand_alone(
    initial: str, text: str, options: dict[str, float]
) -> None:
    """Before a title, far from the text, no larger than it, or a label of a picture."""
    assert with_initial(initial, text, **options) == f"{initial} {text}"
