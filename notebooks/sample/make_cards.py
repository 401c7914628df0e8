"""Writes the sample cards: pages like those that the tiny-synthetic model was trained on.

Run it from the root of the repository (``python -m notebooks.sample.make_cards``) to write
``cards.pdf`` beside it; the bytes are the same in every run.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.tiny.drawing import write_pdf
from benchmarks.tiny.layout import Sheet, set_card

TARGET = Path(__file__).with_name("cards.pdf")

CARDS: tuple[Sheet, ...] = (
    set_card(
        ("title", "HARBOR REPORT"),
        ("text", "Two ships came from Oslo with copper and coal. One engine was broken."),
        ("sub_title", "Repair"),
        ("text", "Clara found the damage in the pump."),
    ),
    set_card(
        ("title", "GARDEN AND FARM"),
        ("text", "The farm sold rice, corn and apple wine. The price of milk is 46."),
        ("sub_title", "Animals"),
        ("text", "Hugo has nine goats and one horse."),
    ),
    set_card(
        ("title", "SCHOOL LIBRARY"),
        ("text", "Maria keeps 824 books on history and science in the reading room."),
        ("sub_title", "Rule"),
        ("text", "Please do not eat or drink near the desk."),
    ),
)
"""The text of the pages."""


def main() -> None:
    """Write the file."""
    TARGET.write_bytes(write_pdf(list(CARDS)))


if __name__ == "__main__":
    main()
