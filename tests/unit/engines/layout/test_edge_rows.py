from __future__ import annotations

from itertools import pairwise

import pymupdf
import pytest

from opticalrag.ingest.engines.layout.edge_rows import with_cells_joined, with_edge_rows
from opticalrag.ingest.engines.layout.geometry import union
from opticalrag.ingest.engines.layout.regions import Region
from opticalrag.ingest.engines.layout.text_layer.extract import PageFacts, read_page

NAMES = ["Vessel class", "Fee (crowns)", "Valid until"]


def draw_row(names: list[str], lefts: list[float], *, drawn: str, top: float = 760) -> PageFacts:
    """A row of names, with cells as boxes, as lines, or with fills."""
    page = pymupdf.open().new_page()
    for name, x0, x1 in zip(names, lefts, lefts[1:], strict=False):
        page.insert_text((x0 + 4, top + 15), name, fontsize=10)
        if drawn == "boxes":
            page.draw_rect((x0, top, x1, top + 22))
        elif drawn == "fills":
            page.draw_rect((x0, top, x1, top + 22), color=None, fill=(0.9, 0.9, 1), overlay=False)
        elif drawn == "lines":
            for x in (x0, x1):
                page.draw_line((x, top), (x, top + 22))
    if drawn == "frame":
        page.draw_rect((lefts[0], top, lefts[-1], top + 22))
    return read_page(page)


def found(facts: PageFacts, label: str) -> Region:
    region = Region(label, union(word.rect for word in facts.words))
    (made,) = with_edge_rows([region], [facts.words], facts.drawings)
    return made


@pytest.mark.parametrize("drawn", ["boxes", "fills", "lines"])
@pytest.mark.parametrize("label", ["page-footer", "text", "section-header"])
@pytest.mark.parametrize(
    ("names", "lefts"),
    [
        (NAMES, [72, 222, 372, 522]),
        (["Art", "Preis", "Gültig bis", "Ort"], [50, 110, 200, 330, 400]),
        (["Item", "2019"], [100, 300, 400]),
    ],
)
def test_rules_around_a_lone_row_are_its_cells(
    names: list[str], lefts: list[float], label: str, drawn: str
) -> None:
    """A ruled row at the edge of a page is a table, whatever the model calls it."""
    made = found(draw_row(names, lefts, drawn=drawn), label)

    assert made.label == ("page-footer" if label == "page-footer" else "table")
    assert made.grid is not None
    assert (made.grid.rows, made.grid.cols) == (1, len(names))
    assert [slot.rect[0] for slot in made.grid.slots] == pytest.approx(lefts[:-1], abs=1)


@pytest.mark.parametrize("drawn", ["none", "frame"])
def test_a_line_without_cells_stays_a_line(drawn: str) -> None:
    """A frame around a line does not part its words."""
    assert found(draw_row(NAMES, [72, 222, 372, 522], drawn=drawn), "page-footer").grid is None


@pytest.mark.parametrize("drawn", ["boxes", "fills", "lines"])
@pytest.mark.parametrize("label", ["page-footer", "page-header", "text"])
@pytest.mark.parametrize(
    ("names", "lefts"),
    [
        (["Gate", "Built"], [80, 280, 480]),
        (["Tor", "Stand", "Wärter"], [60, 220, 380, 540]),
        (["Porte", "Niveau moyen"], [50, 300, 550]),
    ],
)
def test_cells_that_are_regions_of_their_own_are_one_row(
    names: list[str], lefts: list[float], label: str, drawn: str
) -> None:
    """The model takes each name for a footer if they stand far apart."""
    facts = draw_row(names, lefts, drawn=drawn)
    groups = [[w for w in facts.words if a < w.rect[0] < b] for a, b in pairwise(lefts)]
    regions = [Region(label, union(w.rect for w in words)) for words in groups]
    body = Region("text", (60.0, 100.0, 500.0, 130.0))

    joined, contents = with_cells_joined([body, *regions], [[], *groups], facts.drawings)
    made = with_edge_rows(joined, contents, facts.drawings)
    assert joined[0] == body
    assert len(made) == len(contents) == 2
    assert made[1].grid is not None
    assert made[1].grid.cols == len(names)
    assert sorted(w.text for w in contents[1]) == sorted(w.text for w in facts.words)


def test_footers_side_by_side_without_rules_stay_apart() -> None:
    """A date and a page number are not a table."""
    facts = draw_row(["12 May", "Page 3"], [72, 372, 522], drawn="frame")
    groups = [list(facts.words[:2]), list(facts.words[2:])]
    regions = [Region("page-footer", union(w.rect for w in words)) for words in groups]
    assert with_cells_joined(regions, groups, facts.drawings) == (regions, groups)


def test_a_tall_frame_is_not_a_row() -> None:
    """Frames around columns of a page are not the cells of its last line."""
    page = pymupdf.open().new_page()
    for x0 in (72, 222, 372):
        page.draw_rect((x0, 100, x0 + 150, 790))
        page.insert_text((x0 + 4, 775), "Words here", fontsize=10)
    facts = read_page(page)

    assert found(facts, "text").grid is None


def test_only_the_last_text_of_a_page_is_examined() -> None:
    """Ruled rows in mid page belong to tables that the model finds."""
    upper, lower = (draw_row(NAMES, [72, 222, 372, 522], drawn="boxes", top=y) for y in (100, 700))
    regions = [Region("text", union(w.rect for w in facts.words)) for facts in (upper, lower)]
    drawings = (*upper.drawings, *lower.drawings)

    made = with_edge_rows(regions, [upper.words, lower.words], drawings)
    assert [region.grid is None for region in made] == [True, False]
