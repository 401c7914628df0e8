"""The committed sample is the output of its script and has its difficult features."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pymupdf
import pytest


@pytest.fixture(scope="module")
def report(sample: Path) -> pymupdf.Document:
    return pymupdf.open(sample)


def test_the_script_draws_the_committed_bytes(sample: Path, tmp_path: Path) -> None:
    """The sample can be made again byte for byte."""
    script = tmp_path / "make_report.py"
    script.write_bytes(sample.with_name("make_report.py").read_bytes())
    subprocess.run([sys.executable, str(script)], check=True, timeout=60)

    assert (tmp_path / "report.pdf").read_bytes() == sample.read_bytes()


def test_it_has_labels_an_outline_a_scan_and_a_turned_page(report: pymupdf.Document) -> None:
    """It has the features that the tests and the notebooks rely on."""
    assert [page.get_label() for page in report] == ["i", "1", "2", "3", "4", "5", "6"]
    assert report[5].get_text().strip() == ""
    assert report[6].rotation == 90
    assert len(report.get_toc()) == 11
