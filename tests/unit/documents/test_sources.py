from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from opticalrag.ingest.core.config import PageLimits
from opticalrag.ingest.core.errors import ConfigError, UnsupportedSource
from opticalrag.ingest.documents.images import pdf_of_image
from opticalrag.ingest.documents.sources import expand_sources


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_the_documents_of_a_folder_are_found_and_sorted(tmp_path: Path) -> None:
    """The search is recursive and skips hidden names."""
    touch(tmp_path, "b.PDF", "sub/a.png", "notes.txt", ".hidden/c.pdf", ".d.pdf")

    names = [p.relative_to(tmp_path).as_posix() for p in expand_sources([tmp_path])]
    assert names == ["b.PDF", "sub/a.png"]


def test_patterns_and_files_mix_without_duplicates(tmp_path: Path) -> None:
    """A file that matches a path and a pattern is listed once."""
    touch(tmp_path, "a.pdf", "b.pdf")
    found = expand_sources([tmp_path / "b.pdf", str(tmp_path / "*.pdf")])

    assert [p.name for p in found] == ["b.pdf", "a.pdf"]


def test_a_name_that_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    """Brackets in the name of an existing file are not a pattern."""
    touch(tmp_path, "report [final].pdf")

    assert len(expand_sources([tmp_path / "report [final].pdf"])) == 1


def test_a_link_to_the_parent_does_not_loop(tmp_path: Path) -> None:
    """Links to folders are not followed."""
    touch(tmp_path, "sub/a.pdf")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)

    assert len(expand_sources([tmp_path])) == 1


@pytest.mark.parametrize("name", ["empty", "no-*.pdf"])
def test_the_error_of_an_empty_search_names_its_path(tmp_path: Path, name: str) -> None:
    """It may be a folder or a pattern."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(UnsupportedSource, match=name.replace("*", r"\*")):
        expand_sources([tmp_path / name])


def test_an_empty_path_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unset shell variable once made a run ingest all of that folder."""
    touch(tmp_path, "a.pdf")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match="an unset variable"):
        expand_sources([""])
    assert expand_sources(["."]) == (tmp_path / "a.pdf",)


def test_a_full_disk_is_not_reported_as_a_damaged_image(tmp_path: Path) -> None:
    """MuPDF's own error would look like a crash of the worker."""
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(OSError, match=r"a\.png to .*TMPDIR"):
        pdf_of_image(tmp_path / "a.png", "a.png", PageLimits(), tmp_path / "gone" / "a.pdf")
