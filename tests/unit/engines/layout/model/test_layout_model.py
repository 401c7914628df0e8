"""The layout model gives the vendor's regions, in less time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pymupdf
import pytest

from opticalrag.ingest.engines.layout.model.layout_model import LayoutModel, load_model

TEXT = "The keeper climbs the stairs at dusk and writes the height of the tide into his book. " * 6


def document() -> pymupdf.Document:
    """Three pages: a heading with text, two columns, a table beside white space."""
    made = pymupdf.open()
    first = made.new_page(width=595, height=842)
    first.insert_text((60, 90), "1 The lamp", fontsize=18, fontname="hebo")
    first.insert_textbox((60, 110, 530, 400), TEXT, fontsize=11)
    second = made.new_page(width=595, height=842)
    second.insert_textbox((60, 80, 280, 600), TEXT, fontsize=10, fontname="tiro")
    second.insert_textbox((315, 80, 535, 600), TEXT, fontsize=10, fontname="tiro")
    third = made.new_page(width=842, height=595)
    for row in range(6):
        for column in range(4):
            third.insert_text((80 + 110 * column, 120 + 22 * row), f"{row * 7 + column}.5")
    return made


def regions(raw: list[dict[str, Any]]) -> list[tuple[str, list[float]]]:
    return [(box["class_name"], [float(v) for v in box["group_bbox"]]) for box in raw]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_regions_are_the_vendors(threads: int) -> None:
    """Its network runs ahead, with other sessions."""
    model = LayoutModel(threads)
    for page in document():
        assert regions(model.lay_out(page)) == regions(pymupdf._get_layout(page, return_raw=True))


def test_a_page_begun_in_vain_does_not_spoil_the_next() -> None:
    """The page that is laid out is looked at anew if another one was begun."""
    first, second, third = document()
    model = load_model(0)
    expected = regions(model.lay_out(second))
    model.start(first)
    model.start(third)
    assert regions(model.lay_out(second)) == expected
    model.start(second)
    assert regions(model.lay_out(second)) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="niceness of single threads is Linux's")
def test_only_the_threads_of_the_networks_are_polite() -> None:
    """The thread that reads the text keeps its share of the processor."""
    tasks = Path("/proc/self/task")
    before = set(tasks.iterdir())
    LayoutModel(3)
    made = set(tasks.iterdir()) - before
    assert any(os.getpriority(os.PRIO_PROCESS, int(task.name)) > 0 for task in made)
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0


def test_an_empty_page_has_no_regions() -> None:
    """Nor does it keep the next page from having some."""
    blank = pymupdf.open().new_page()
    model = load_model(0)
    assert model.lay_out(blank) == []
    assert model.lay_out(document()[0])
