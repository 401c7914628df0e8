from __future__ import annotations

from dataclasses import replace

import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.chunking.chunker import chunk_pages
from opticalrag.ingest.core.config import LayoutConfig
from opticalrag.ingest.core.flags import Flag
from opticalrag.ingest.core.records import BlockKind, Box, PageRef, ParsedPage
from opticalrag.ingest.engines.layout.annotations import (
    Annotations,
    Link,
    Note,
    marked,
    read_annotations,
    read_links,
    with_notes,
)
from opticalrag.ingest.engines.layout.page import parse_page
from opticalrag.ingest.engines.layout.text import rows_of
from opticalrag.ingest.engines.layout.text_layer.extract import read_page
from opticalrag.ingest.engines.layout.text_layer.words import LayoutWord
from opticalrag.ingest.engines.layout.upright import turned_page
from opticalrag.ingest.markdown.render import page_markdown

from ....builders import WordCounter, block, document

LINES = ["The harbour office counts every ferry", "that leaves the basin after sunset (see here)."]


def new_page(lines: list[str] = LINES) -> pymupdf.Page:
    page = pymupdf.open().new_page()
    for n, line in enumerate(lines):
        page.insert_text((72, 100 + 16 * n), line, fontsize=11)
    return page


def texts(page: pymupdf.Page, *, links: bool = False) -> list[str]:
    found = read_annotations(page)
    found = replace(found, links=read_links(page)) if links else found
    return [row.text for row in rows_of(marked(read_page(page).words, found))]


def on(page: pymupdf.Page, words: str) -> pymupdf.Rect:
    return page.search_for(words)[-1]


@pytest.mark.parametrize("turn", [0, 90, 270])
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("every", "The harbour office counts ~~every~~ ferry"),
        ("office counts every", "The harbour ~~office counts every~~ ferry"),
        ("ferry", "The harbour office counts every ~~ferry~~"),
    ],
)
def test_struck_out_words_are_marked(words: str, wanted: str, turn: int) -> None:
    """Also on a page that is displayed turned."""
    page = new_page()
    page.add_strikeout_annot(on(page, words))
    page.set_rotation(turn)

    assert texts(turned_page(page, -turn // 90 % 4))[0] == wanted


def test_words_struck_out_over_two_lines_are_marked_in_each() -> None:
    """Both marks of a pair stand in one line."""
    page = new_page()
    page.add_strikeout_annot([on(page, "every ferry"), on(page, "that leaves")])

    assert texts(page) == [
        "The harbour office counts ~~every ferry~~",
        "~~that leaves~~ the basin after sunset (see here).",
    ]


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("https://tides.example.org/2031/tables.csv", "https://tides.example.org/2031/tables.csv"),
        ("http://example.org/a (b).html", "http://example.org/a%20%28b%29.html"),
        ("mailto:clerk@example.org", "mailto:clerk@example.org"),
        ("https://example.org/a|b<c>?q=1&r=2#s", "https://example.org/a%7Cb%3Cc%3E?q=1&r=2#s"),
    ],
)
def test_links_are_markdown_if_asked_for(uri: str, wanted: str) -> None:
    """The words of a link stay, and its URI cannot end the Markdown early."""
    page = new_page()
    area = on(page, "the basin")
    page.insert_link({"kind": pymupdf.LINK_URI, "from": area, "uri": uri})
    page = pymupdf.open(stream=page.parent.tobytes())[0]

    assert texts(page)[1] == LINES[1]
    assert texts(page, links=True)[1] == LINES[1].replace("the basin", f"[the basin]({wanted})")


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("words", ["the basin", "harbour office", "here"])
def test_links_of_a_turned_page_stand_at_their_words(words: str, turn: int) -> None:
    """Also on a page that is cropped."""
    page = new_page()
    uri = "https://tides.example.org/"
    page.insert_link({"kind": pymupdf.LINK_URI, "from": on(page, words), "uri": uri})
    page.set_cropbox(pymupdf.Rect(40, 30, 560, 700))
    page.set_rotation(turn)
    page = pymupdf.open(stream=page.parent.tobytes())[0]
    upright = turned_page(page, -turn // 90)
    links = read_links(page, -turn // 90 % 4)
    found = rows_of(marked(read_page(upright).words, Annotations(links=links)))

    text = "\n".join(LINES).replace(words, f"[{words}]({uri})")
    assert "\n".join(row.text for row in found) == text


@pytest.mark.parametrize(("line", "word"), [("see here, now", "here"), ("the tide.", "tide")])
@pytest.mark.parametrize("size", [8, 12])
def test_punctuation_after_a_link_is_not_part_of_it(line: str, word: str, size: int) -> None:
    """It stands outside the area of the link."""
    page = pymupdf.open().new_page()
    page.insert_text((72, 100), line, fontsize=size)
    uri = "https://tides.example.org/"
    page.insert_link({"kind": pymupdf.LINK_URI, "from": on(page, word), "uri": uri})
    page = pymupdf.open(stream=page.parent.tobytes())[0]

    assert texts(page, links=True) == [line.replace(word, f"[{word}]({uri})")]


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "file:///etc/passwd", "chapter-2"])
def test_links_that_do_not_lead_to_the_web_are_text(uri: str) -> None:
    """Nobody can follow them from a citation."""
    page = new_page()
    page.insert_link({"kind": pymupdf.LINK_URI, "from": on(page, "the basin"), "uri": uri})
    page = pymupdf.open(stream=page.parent.tobytes())[0]

    assert texts(page, links=True) == LINES


def test_brackets_inside_a_link_are_escaped() -> None:
    """A reference such as "[12]" is a link with brackets."""
    word = LayoutWord("[12]", (10, 10, 30, 20), 10, 0, 0)
    links = tuple(Link(word.rect, f"https://example.org/{n}") for n in range(2))

    (made,) = marked([word], Annotations(links=links))
    assert made.text == "[\\[12\\]](https://example.org/0)"


@pytest.mark.parametrize("stamp", [0, 5, 9])
def test_a_stamp_is_a_comment_and_not_text(stamp: int) -> None:
    """Its words leave the text of the page, even where it covers that text."""
    page = new_page()
    page.add_stamp_annot((60, 80, 400, 200), stamp=stamp)
    found = read_annotations(page)

    assert texts(page) == LINES
    assert len(found.notes) == 1
    assert found.notes[0].text.isupper()


def test_comments_of_all_kinds_are_read() -> None:
    """Sticky notes, marked words and drawings may have comments; without one they have none."""
    page = new_page()
    page.add_text_annot((500, 100), "Check the figure\nof March.")
    for add, words in (
        (page.add_highlight_annot, "office"),
        (page.add_underline_annot, "counts"),
        (page.add_squiggly_annot, "every"),
        (page.add_strikeout_annot, "sunset"),
    ):
        annotation = add(on(page, words))
        annotation.set_info(content=f"About {words}")
        annotation.update()
    page.add_rect_annot((300, 300, 400, 400)).set_info(content="A drawing")
    page.add_highlight_annot(on(page, "basin"))
    page.add_freetext_annot((72, 300, 250, 330), "Typed onto the page")

    assert [note.text for note in read_annotations(page).notes] == [
        "Check the figure of March.",
        "About office",
        "About counts",
        "About every",
        "About sunset",
        "A drawing",
    ]
    assert "Typed onto the page" in texts(page)


def test_hidden_comments_are_not_read() -> None:
    """No reader of the page sees them."""
    page = new_page()
    page.add_text_annot((500, 100), "unseen").set_flags(pymupdf.PDF_ANNOT_IS_HIDDEN)

    assert read_annotations(page).notes == ()


def to_box(rect: tuple[float, float, float, float]) -> Box:
    return Box.clipped(*(value / 1000 for value in rect))


@pytest.mark.parametrize(
    ("area", "position"),
    [
        ((100, 100, 200, 120), 1),  # in the first block
        ((950, 310, 970, 330), 2),  # in the margin, at the height of the second
        ((100, 560, 200, 580), 3),  # below the last
    ],
)
def test_a_note_follows_the_nearest_block(area: tuple[int, ...], position: int) -> None:
    """A note in the margin belongs to the text at its height."""
    blocks = [block(str(n), box=(0.1, 0.1 + n / 5, 0.9, 0.2 + n / 5)) for n in range(3)]
    x0, y0, x1, y1 = area

    made = with_notes(blocks, [Note((x0, y0, x1, y1), "Look.")], to_box)
    assert [one.kind for one in made].index(BlockKind.COMMENT) == position
    assert made[position].text == "Look."
    assert made[position].box == to_box((x0, y0, x1, y1))


def test_a_note_on_an_empty_page_is_its_block() -> None:
    """No note is lost."""
    (made,) = with_notes((), [Note((10, 10, 20, 20), "Blank on purpose")], to_box)

    assert made.kind is BlockKind.COMMENT


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), max_size=6), st.integers(0, 4))
def test_notes_change_no_other_block(spots: list[tuple[int, int]], count: int) -> None:
    """Without the notes, the blocks are what they were; every note is there once."""
    blocks = tuple(block(str(n), box=(0.1, n / 5, 0.9, n / 5 + 0.1)) for n in range(count))
    notes = [Note((x, y, x + 10, y + 10), f"note {n}") for n, (x, y) in enumerate(spots)]

    made = with_notes(blocks, notes, to_box)
    assert tuple(one for one in made if one.kind is not BlockKind.COMMENT) == blocks
    assert sorted(o.text for o in made if o.kind is BlockKind.COMMENT) == [n.text for n in notes]


@pytest.fixture(scope="module")
def annotated() -> ParsedPage:
    """A page with a heading, a paragraph, a note, struck-out words, and a stamp."""
    page = pymupdf.open().new_page()
    page.insert_text((72, 80), "Tide tables", fontsize=18, fontname="hebo")
    for n, line in enumerate(LINES * 3):
        page.insert_text((72, 120 + 16 * n), line, fontsize=11)
    page.add_text_annot((500, 130), "Check the figure of March.")
    page.add_strikeout_annot(on(page, "every ferry"))
    page.add_stamp_annot((350, 600, 550, 680), stamp=0)
    page.insert_text((72, 720), "Paid in the harbour office by the clerk on the third day of May.")
    return parse_page(page.parent, PageRef(document(), 0, "1"), LayoutConfig(ocr="off"))


def test_a_page_has_its_comments_as_blocks(annotated: ParsedPage) -> None:
    """A stamp does not become a heading, and struck-out words are flagged."""
    comments = [one.text for one in annotated.blocks if one.kind is BlockKind.COMMENT]

    assert sorted(comments) == ["APPROVED", "Check the figure of March."]
    assert Flag.STRUCK in annotated.flags
    assert not any("APPROVED" in b.text for b in annotated.blocks if b.text not in comments)


def test_comments_share_the_chunk_of_their_text(annotated: ParsedPage) -> None:
    """They stand behind it, marked, and head no section."""
    (chunk,) = chunk_pages(document(), [page_markdown(annotated)], WordCounter(200))

    assert "> [!NOTE]\n> Check the figure of March." in chunk.text
    assert "~~every ferry~~" in chunk.text
    assert chunk.heading_path == ("Tide tables",)
