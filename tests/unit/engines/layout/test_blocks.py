from __future__ import annotations

import pytest

from opticalrag.ingest.core.records import BlockKind, Box, TextSource
from opticalrag.ingest.engines.layout.blocks import (
    PageContext,
    build_blocks,
    lettered_pictures,
)
from opticalrag.ingest.engines.layout.regions import Region
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord

PAGE = (0.0, 0.0, 600.0, 800.0)
LOGO = (50.0, 50.0, 200.0, 100.0)
BODY = LayoutWord("Dear", (50, 300, 80, 312), 11, 9, 9)


def lettering(
    *names: str, y: float = 60, source: TextSource = TextSource.OCR, size: float = 24
) -> list[LayoutWord]:
    return [
        LayoutWord(name, (60 + 60 * n, y, 110 + 60 * n, y + size), size, n, n, source=source)
        for n, name in enumerate(names)
    ]


def kind_of(
    words: list[LayoutWord],
    images: tuple[tuple[float, float, float, float], ...] = (),
    regions: tuple[Region, ...] = (),
    label: str = "section-header",
) -> BlockKind:
    page_words = [*words, BODY]
    heading = Region(label, (50, words[0].rect[1] - 2, 200, words[0].rect[3] + 2))
    context = PageContext(
        known=frozenset(),
        body=11,
        typewritten=False,
        rtl=False,
        outline=(),
        to_box=lambda rect: Box.clipped(*(value / 800 for value in rect)),
        pictures=lettered_pictures(regions, images, page_words, PAGE),
    )
    (made,) = build_blocks([heading], [words], context)
    return made.kind


@pytest.mark.parametrize("label", ["section-header", "title"])
@pytest.mark.parametrize("names", [("TARN",), ("Tarn", "Ferries"), ("Est.", "1931")])
@pytest.mark.parametrize("drawn", ["image", "region"])
def test_lettering_of_a_logo_is_no_heading(names: tuple[str, ...], label: str, drawn: str) -> None:
    """Words that OCR reads in a picture stay text of the figure."""
    images = (LOGO,) if drawn == "image" else ()
    regions = (Region("picture", LOGO),) if drawn == "region" else ()

    assert kind_of(lettering(*names), images, regions, label) is BlockKind.FIGURE


def test_a_line_that_touches_a_logo_belongs_to_it() -> None:
    """The name of a company often stands right below its sign."""
    assert kind_of(lettering("Tarn", y=98, size=12), (LOGO,)) is BlockKind.FIGURE


@pytest.mark.parametrize(
    ("words", "images"),
    [
        (lettering("Terms", source=TextSource.TEXT_LAYER), (LOGO,)),  # over a picture
        ([*lettering("Terms"), *lettering("of", source=TextSource.TEXT_LAYER)], (LOGO,)),
        (lettering("Terms", y=200), (LOGO,)),  # away from it
        (lettering("Terms"), (PAGE,)),  # on a scan
        (lettering("Terms"), ()),
    ],
)
def test_other_headings_stay(
    words: list[LayoutWord], images: tuple[tuple[float, float, float, float], ...]
) -> None:
    """A heading over a picture, or on a scanned page, is a heading."""
    assert kind_of(words, images) is BlockKind.HEADING


def test_strips_of_a_scan_are_not_logos() -> None:
    """A page without a text layer may be drawn as many pictures."""
    assert lettered_pictures((), (LOGO,), lettering("Terms"), PAGE) == ()
