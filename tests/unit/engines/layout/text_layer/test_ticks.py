"""A tick drawn over an empty box is a ticked box."""

from __future__ import annotations

import pytest

from opticalrag.ingest.engines.layout.text_layer.ticks import with_ticks
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord


def at(text: str, x: float, y: float = 0.0) -> LayoutWord:
    return LayoutWord(text, (x, y, x + 9.0, y + 9.0), 10.0, 0, 0)


@pytest.mark.parametrize(
    ("mark", "state"), [("✓", "☑"), ("✔", "☑"), ("✗", "☒"), ("✘", "☒"), ("×", "☒")]
)
@pytest.mark.parametrize("box", ["□", "☐", "❑"])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_a_mark_over_a_box_is_its_state(mark: str, state: str, box: str, shift: float) -> None:
    """Whichever is drawn first."""
    for first, second in ((at(box, 10), at(mark, 10 + shift)), (at(mark, 10 + shift), at(box, 10))):
        assert [w.text for w in with_ticks([first, second, at("A1.", 30)])] == [state, "A1."]


@pytest.mark.parametrize(
    "words",
    [
        [at("□", 10), at("✓", 22)],
        [at("□", 10), at("✓", 10, 14)],
        [at("3", 10), at("×", 12), at("4", 20)],
        [at("✓", 10), at("✓", 11)],
        [at("□", 10), at("yes", 11)],
    ],
)
def test_marks_beside_boxes_stay(words: list[LayoutWord]) -> None:
    """A box and a tick side by side, below each other, or a sign of multiplication."""
    assert with_ticks(words) == words
