"""Writes the sample report: the annual report of an invented tidal power station.

Run it to write ``report.pdf`` next to it; the bytes are the same in every run. Its seven pages
contain what is hard for parsers: two columns, a table across a page break, a chart with a caption,
formulas, code, a scanned page, and a rotated page.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pymupdf
from PIL import Image

TARGET = Path(__file__).with_name("report.pdf")

A4 = (595, 842)
LEFT, RIGHT, TOP, BOTTOM = 64, 531, 84, 776
INK, GREY, BLUE = (0.1, 0.1, 0.12), (0.45, 0.45, 0.5), (0.1, 0.33, 0.55)

TITLE = "Skerry Sound Tidal Station"
SUBTITLE = "Operating Report for the Year 2031"

ABSTRACT = (
    "Skerry Sound fed 41.7 gigawatt hours into the island grid in 2031, six per cent more than "
    "in the year before, with four turbines and a staff of twelve. The exchange of the main "
    "coolant pump of turbine T2 in May was the largest repair. This report sums up operation, "
    "production, efficiency and the yearly inspection, and lists the spare parts in store."
)
OPERATION = (
    "The station ran for 8,412 hours. Availability rose from 93.1 to 96.0 per cent, chiefly "
    "because the blade bearings fitted in 2030 needed no service. Slack water, when no turbine "
    "can turn, took 1,130 hours of the year, close to the long-term mean. The highest output of "
    "a single tide, 71.3 megawatt hours, was reached on the equinoctial spring tide of "
    "21 September. Grid operators asked for curtailment on nine nights only."
)
REPAIRS = (
    "In May the main coolant pump of turbine T2 was exchanged after its seal had begun to leak. "
    "Divers needed two neap tides for the work; the turbine was out of service for eleven days. "
    "The old pump had run for 31,000 hours, well beyond the 25,000 that its maker promises.¹ "
    "The oil filters of all four gearboxes were changed in August as planned."
)
INCIDENTS = (
    "The controller of turbine T3 logged error E-4711 on 3 February and restarted by itself. "
    "The cause was a loose earth strap. A fishing net was caught by turbine T1 in October; its "
    "owner was found through the tag sewn into the net, and the blades were unharmed. Nobody "
    "was injured at the station during the year."
)
WILDLIFE = (
    "Underwater microphones recorded harbour porpoises on 212 days. No contact with a blade was "
    "observed. The seal colony on the western skerry counted 64 animals in July, five more than "
    "in the previous summer. Turbines were slowed to half speed on fourteen occasions when a "
    "whale passed the sound."
)
FOOTNOTE = "¹ Maker's manual, edition 7, section 4.2: seals are rated for 25,000 hours."

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
# In megawatt hours; turbine T4 produced the rest of 41,700.
YIELD = {
    "T1": (880, 845, 930, 905, 890, 850, 840, 865, 955, 860, 875, 890),
    "T2": (890, 850, 935, 900, 560, 865, 850, 870, 960, 925, 885, 895),
    "T3": (870, 790, 925, 895, 885, 845, 845, 860, 950, 920, 880, 885),
}
REMARKS = {
    ("T1", "October"): "fishing net caught",
    ("T2", "May"): "coolant pump exchanged",
    ("T3", "February"): "error E-4711",
    ("T3", "December"): "new earth strap",
}
DUTIES = (
    "Inspect the sacrificial anodes before the spring tides of March.",
    "Replace the batteries of the emergency buoy.",
    "Train two more divers for work below thirty metres.",
)
CODE = """\
def capacity_factor(energy_mwh, rated_mw, hours):
    # share of what the rated power would give
    return energy_mwh / (rated_mw * hours)

print(capacity_factor(41_700, 12, 8_412))"""

PROTOCOL = (
    "INSPECTION PROTOCOL",
    "Station: Skerry Sound      Date: 14 November 2031",
    "1. Hull of the turbine house: sound, no corrosion.",
    "2. Emergency lighting: two of sixty lamps replaced.",
    "3. Fire pump: pressure 8.4 bar, limit 7.0 bar.",
    "4. Lifeboat engine: starts at the second attempt.",
    "   To be serviced before 31 January.",
    "5. Cable gland K-17: slightly damp, seal renewed.",
    "6. Crane: load test passed with 5.5 tonnes.",
    "Result: the station may be operated until",
    "30 November 2032.",
    "Signed: the harbour inspector",
)
SPARES = (
    ("Part", "Number", "In store", "Lead time", "Shelf", "Used in 2031"),
    ("Main coolant pump", "CP-220", "1", "26 weeks", "A3", "1"),
    ("Blade bearing", "BB-910", "4", "14 weeks", "A1", "0"),
    ("Gearbox oil filter", "OF-031", "12", "2 weeks", "B2", "8"),
    ("Controller board", "CB-4700", "2", "9 weeks", "C1", "0"),
    ("Earth strap", "ES-008", "20", "1 week", "C4", "1"),
    ("Pitch actuator", "PA-145", "3", "18 weeks", "B1", "0"),
)
SPARES_NOTE = (
    "One coolant pump is kept because its maker needs half a year to deliver. Pitch actuators "
    "are shared with the sister station at Holm, which may call for one of them at any time."
)


def main() -> None:
    """Draw all pages and write the file."""
    document = pymupdf.open()
    title_page(document)
    columns_page(document)
    table_pages(document)
    figure_page(document)
    scanned_page(document)
    turned_page(document)
    finish(document)
    TARGET.write_bytes(to_bytes(document))


def to_bytes(document: pymupdf.Document) -> bytes:
    """Write without time stamps and random ids, so that every run gives the same bytes."""
    return bytes(document.tobytes(garbage=4, deflate=True, no_new_id=True))


def text(
    page: pymupdf.Page,
    rect: Sequence[float],
    words: str,
    size: float = 10,
    font: str = "tiro",
    color: tuple[float, float, float] = INK,
    align: int = pymupdf.TEXT_ALIGN_LEFT,
) -> float:
    """Write wrapped text from the top of a rectangle; return the y below it."""
    left = page.insert_textbox(
        pymupdf.Rect(*rect), words, fontsize=size, fontname=font, color=color, align=align
    )
    if left < 0:
        raise ValueError(f"{-left:.0f} points of text do not fit: {words[:40]!r}")
    return float(rect[3] - left)


def heading(page: pymupdf.Page, x: float, y: float, words: str, size: float = 14) -> float:
    """Write a heading line; return the y below it."""
    page.insert_text((x, y + size), words, fontsize=size, fontname="hebo", color=BLUE)
    return y + size + 10


def new_page(document: pymupdf.Document, number: int | None, turned: bool = False) -> pymupdf.Page:
    """Add a page with running header and footer (none on the title page)."""
    width, height = A4[::-1] if turned else A4
    page = document.new_page(width=width, height=height)
    if number is not None:
        page.insert_text((LEFT, 44), f"{TITLE} · 2031", fontsize=8, fontname="helv", color=GREY)
        right = width - (A4[0] - RIGHT)
        page.insert_text(
            (right - 4, height - 32), str(number), fontsize=9, fontname="helv", color=GREY
        )
        page.draw_line((LEFT, 50), (right, 50), color=GREY, width=0.4)
    return page


def title_page(document: pymupdf.Document) -> None:
    """Title, authors, abstract."""
    page = new_page(document, None)
    page.draw_rect((0, 0, A4[0], 18), color=BLUE, fill=BLUE)
    page.insert_text((LEFT, 220), TITLE, fontsize=30, fontname="hebo", color=BLUE)
    page.insert_text((LEFT, 250), SUBTITLE, fontsize=16, fontname="helv", color=INK)
    page.insert_text(
        (LEFT, 290), "Prepared by the station office", fontsize=11, fontname="tiit", color=GREY
    )
    page.insert_text((LEFT, 372), "Abstract", fontsize=12, fontname="hebo", color=BLUE)
    text(page, (LEFT, 384, RIGHT, 500), ABSTRACT, size=11, align=pymupdf.TEXT_ALIGN_JUSTIFY)


def columns_page(document: pymupdf.Document) -> None:
    """Two columns with numbered sections and a footnote."""
    page = new_page(document, 1)
    y = heading(page, LEFT, TOP - 12, "1 The year in brief", 17)
    middle, gap = (LEFT + RIGHT) / 2, 12
    columns = ((LEFT, middle - gap), (middle + gap, RIGHT))
    sections = (
        (("1.1 Operation", OPERATION), ("1.2 Repairs", REPAIRS)),
        (("1.3 Incidents", INCIDENTS), ("1.4 Wildlife", WILDLIFE)),
    )
    for (x0, x1), parts in zip(columns, sections, strict=True):
        below = y + 6
        for name, words in parts:
            below = heading(page, x0, below, name, 12)
            below = text(page, (x0, below - 4, x1, BOTTOM - 60), words, size=10.5) + 14
    page.draw_line((LEFT, BOTTOM - 30), (LEFT + 120, BOTTOM - 30), color=GREY, width=0.5)
    text(page, (LEFT, BOTTOM - 26, RIGHT, BOTTOM), FOOTNOTE, size=8)


def table_pages(document: pymupdf.Document) -> None:
    """A table across a page break, then lists."""
    rows = [
        (unit, month, str(YIELD[unit][n]), REMARKS.get((unit, month), ""))
        for unit in YIELD
        for n, month in enumerate(MONTHS)
    ]
    first = new_page(document, 2)
    y = heading(first, LEFT, TOP - 12, "2 Production", 17)
    y = text(
        first,
        (LEFT, y, RIGHT, y + 60),
        "Table 1 lists what turbines T1 to T3 fed into the grid. Turbine T4 is measured together "
        "with the transformer and gave the rest of the 41.7 gigawatt hours.",
    )
    y = text(first, (LEFT, y + 8, RIGHT, y + 30), "Table 1: Energy by turbine and month", 9, "tibo")
    head = [("Turbine", "Month", "Energy in MWh", "Remark")]
    fit = int((BOTTOM - 20 - y) // 20) - 1
    draw_table(first, LEFT, y + 4, (70, 110, 110, 177), head + rows[:fit], header=True)
    second = new_page(document, 3)
    y = draw_table(second, LEFT, TOP, (70, 110, 110, 177), rows[fit:], header=False)
    y = heading(second, LEFT, y + 22, "2.1 Duties for the coming year", 12)
    for duty in DUTIES:
        second.insert_text((LEFT + 6, y + 12), "•", fontsize=11, fontname="tiro", color=INK)
        y = text(second, (LEFT + 22, y, RIGHT, y + 40), duty, size=10.5) + 4


def draw_table(
    page: pymupdf.Page,
    x: float,
    y: float,
    widths: Sequence[float],
    rows: Sequence[Sequence[str]],
    header: bool,
) -> float:
    """Draw a ruled table; return the y below it."""
    height = 20.0
    edges = [x + sum(widths[:n]) for n in range(len(widths) + 1)]
    for number, row in enumerate(rows):
        top = y + number * height
        bold = header and number == 0
        if bold:
            page.draw_rect((edges[0], top, edges[-1], top + height), fill=(0.88, 0.92, 0.96))
        for left, cell in zip(edges, row, strict=False):
            font = "hebo" if bold else "helv"
            page.insert_text((left + 5, top + 14), cell, fontsize=9, fontname=font, color=INK)
        page.draw_line((edges[0], top), (edges[-1], top), color=GREY, width=0.5)
    bottom = y + len(rows) * height
    page.draw_line((edges[0], bottom), (edges[-1], bottom), color=GREY, width=0.5)
    for edge in edges:
        page.draw_line((edge, y), (edge, bottom), color=GREY, width=0.5)
    return bottom


def figure_page(document: pymupdf.Document) -> None:
    """A chart with its caption, formulas, and code."""
    page = new_page(document, 4)
    y = heading(page, LEFT, TOP - 12, "3 Efficiency", 17)
    draw_chart(page, pymupdf.Rect(LEFT + 40, y + 10, RIGHT - 20, y + 210))
    y = text(
        page,
        (LEFT, y + 244, RIGHT, y + 280),
        "Figure 1: Monthly energy of turbine T2. The dip in May is the exchange of the coolant "
        "pump.",
        9,
        "tiit",
    )
    y = heading(page, LEFT, y + 14, "3.1 Power of the tide", 12)
    y = text(
        page,
        (LEFT, y - 4, RIGHT, y + 40),
        "The power that a rotor can take from the stream grows with the cube of its speed v:",
    )
    page.insert_text((220, y + 26), "P = ½ · d · A · v³ · c", fontsize=13, fontname="tiit")
    page.insert_text((RIGHT - 20, y + 26), "(1)", fontsize=10, fontname="tiro")
    y = text(
        page,
        (LEFT, y + 40, RIGHT, y + 90),
        "With the density d of sea water of 1,025 kg/m³ and a swept area A of 314 m² the four "
        "rotors are rated at 12 megawatts. The power coefficient c reached 0.41 on average.",
    )
    y = heading(page, LEFT, y + 14, "3.2 Capacity factor", 12)
    for number, line in enumerate(CODE.split("\n")):
        page.insert_text((LEFT + 12, y + 12 + number * 13), line, fontsize=9.5, fontname="cour")


def draw_chart(page: pymupdf.Page, area: pymupdf.Rect) -> None:
    """Draw a bar chart of turbine T2 by month, with axis and labels."""
    page.draw_line(area.tl, area.bl, color=INK, width=0.8)
    page.draw_line(area.bl, area.br, color=INK, width=0.8)
    step, top = area.width / 12, 1000
    for tick in range(0, top + 1, 250):
        y = area.y1 - area.height * tick / top
        page.draw_line((area.x0 - 4, y), (area.x0, y), color=INK, width=0.6)
        page.insert_text((area.x0 - 28, y + 3), str(tick), fontsize=8, fontname="helv")
    for number, value in enumerate(YIELD["T2"]):
        x = area.x0 + step * number
        y = area.y1 - area.height * value / top
        page.draw_rect((x + 5, y, x + step - 5, area.y1), color=BLUE, fill=BLUE)
        page.insert_text((x + 6, area.y1 + 12), MONTHS[number][:3], fontsize=8, fontname="helv")
    page.insert_text((area.x0 - 34, area.y0 - 6), "MWh", fontsize=8, fontname="helv")


def scanned_page(document: pymupdf.Document) -> None:
    """A page that is only a picture of text, noisy and slightly skewed like a scan."""
    drawn = pymupdf.open()
    page = drawn.new_page(width=A4[0], height=A4[1])
    for number, line in enumerate(PROTOCOL):
        size, font = (20, "cobo") if number == 0 else (14, "cour")
        page.insert_text((58, 130 + number * 44), line, fontsize=size, fontname=font)
    pixmap = page.get_pixmap(dpi=120, colorspace=pymupdf.csGRAY)
    paper = Image.frombytes("L", (pixmap.width, pixmap.height), pixmap.samples)
    askew = paper.rotate(0.3, Image.Resampling.BICUBIC, fillcolor=255)
    noise = np.random.default_rng(2031).normal(0, 6, (pixmap.height, pixmap.width))
    grey = np.clip(np.asarray(askew, np.float64) * 0.9 + 18 + noise, 0, 255).astype(np.uint8)
    packed = io.BytesIO()
    Image.fromarray(grey).save(packed, "JPEG", quality=60)
    scan = document.new_page(width=A4[0], height=A4[1])
    scan.insert_image(scan.rect, stream=packed.getvalue())


def turned_page(document: pymupdf.Document) -> None:
    """A wide table drawn on a portrait page and displayed rotated by 90 degrees."""
    upright = pymupdf.open()
    page = new_page(upright, 6, turned=True)
    y = heading(page, LEFT, TOP - 12, "4 Spare parts", 17)
    y = text(
        page, (LEFT, y, 778, y + 30), "Table 2: Spare parts in store on 31 December 2031", 9, "tibo"
    )
    y = draw_table(page, LEFT, y + 4, (180, 100, 90, 110, 90, 140), SPARES, header=True)
    text(page, (LEFT, y + 18, 778, y + 90), SPARES_NOTE, size=10.5)
    stored = document.new_page(width=A4[0], height=A4[1])
    # Drawn rotated to the left by 90 degrees and stored with /Rotate 90, so displayed upright.
    stored.show_pdf_page(stored.rect, upright, 0, rotate=90)
    stored.set_rotation(90)


def finish(document: pymupdf.Document) -> None:
    """Set outline, page labels, and metadata without times."""
    document.set_toc(
        [
            [1, "1 The year in brief", 2],
            [2, "1.1 Operation", 2],
            [2, "1.2 Repairs", 2],
            [2, "1.3 Incidents", 2],
            [2, "1.4 Wildlife", 2],
            [1, "2 Production", 3],
            [2, "2.1 Duties for the coming year", 4],
            [1, "3 Efficiency", 5],
            [2, "3.1 Power of the tide", 5],
            [2, "3.2 Capacity factor", 5],
            [1, "4 Spare parts", 7],
        ]
    )
    document.set_page_labels(
        [
            {"startpage": 0, "style": "r", "prefix": "", "firstpagenum": 1},
            {"startpage": 1, "style": "D", "prefix": "", "firstpagenum": 1},
        ]
    )
    stamp = "D:20320110090000Z"
    document.set_metadata(
        {
            "title": f"{TITLE}: {SUBTITLE}",
            "author": "The station office",
            "creationDate": stamp,
            "modDate": stamp,
        }
    )


if __name__ == "__main__":
    main()
