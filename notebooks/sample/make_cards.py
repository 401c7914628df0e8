"""Draws the sample cards: pages like those that the tiny-synthetic model was trained on.

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
        (
            "text",
            "The old harbor was quiet in the winter. Two ships came from Oslo with copper"
            " and coal. One engine was broken.",
        ),
        ("sub_title", "Repair"),
        ("text", "Clara found the damage in the pump. The part was made of cheap tin."),
    ),
    set_card(
        ("title", "GARDEN AND FARM"),
        (
            "text",
            "The farm sold rice, corn and apple wine. Rain in spring was good for the"
            " orchard. The price of milk is 46 per bottle.",
        ),
        ("sub_title", "Animals"),
        ("text", "Hugo has nine goats, a horse and one pigeon."),
    ),
    set_card(
        ("title", "SCHOOL LIBRARY"),
        (
            "text",
            "Maria keeps 824 books on history and science. The reading room is open every"
            " morning from eight to ten.",
        ),
        ("sub_title", "Rule"),
        ("text", "Please do not talk, eat or drink near the desk."),
    ),
)
"""What stands on the pages."""


def main() -> None:
    """Write the file."""
    TARGET.write_bytes(write_pdf(list(CARDS)))


if __name__ == "__main__":
    main()
