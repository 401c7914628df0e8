"""A corpus of twenty documents that change from version to version."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..unit.pipeline.test_pipeline import write_pdf

FILES: Final = 20
_SAME: Final = {18: 3, 19: 1}  # files with the bytes of another file
_RESAVED: Final = 6  # new bytes with every version, but the same pages
_RENAMED: Final = (3, 9, 12, 15)  # one with every version, in turn


class Corpus:
    """A folder of documents with one to nine pages.

    Every third document never changes. In the others, two pages out of three change with every
    version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._files = {number: folder / f"{number:02}.pdf" for number in range(FILES)}

    def write(self, version: int) -> None:
        """Write a version; versions are written in order."""
        if version:
            self._rename(_RENAMED[version % len(_RENAMED)], version)
        for number, file in self._files.items():
            if number in _SAME:
                file.write_bytes(self._files[_SAME[number]].read_bytes())
            elif number % 3 or number == _RESAVED or not version:
                pages = 1 + 7 * number % 9
                write_pdf(file, *(_page(number, page, version) for page in range(pages)))

    def _rename(self, number: int, version: int) -> None:
        renamed = self.folder / f"{number:02}-{version}.pdf"
        self._files[number] = self._files[number].rename(renamed)


def _page(number: int, page: int, version: int) -> str:
    changed = version if number % 3 and page % 3 else 0
    return "\n\n".join(
        f"File {number}, page {page}, line {line}, version {changed}." for line in range(20)
    )
