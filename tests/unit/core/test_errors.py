from __future__ import annotations

import pickle

import pytest

from opticalrag.ingest.core import errors
from opticalrag.ingest.core.config import ChunkingConfig
from opticalrag.ingest.core.errors import ConfigError

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_codes_are_unique() -> None:
    """Machine-readable output distinguishes all errors."""
    codes = [cls.code for cls in CLASSES]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_travel_between_processes(cls: type[errors.OpticalRagError]) -> None:
    """An error raised in a worker arrives with its message."""
    error = cls("OCR", "ocr") if cls is errors.MissingExtra else cls("what, value, remedy")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes

    assert (type(copy), str(copy)) == (cls, str(error))


def test_a_missing_extra_names_the_command_that_adds_it() -> None:
    """The command can be copied from the message."""
    assert "pip install 'opticalrag[ocr]'" in str(errors.MissingExtra("OCR", "ocr"))


def test_a_cap_too_small_for_text_is_refused() -> None:
    """A chunk size that leaves no room for text is an error, not an endless loop."""
    with pytest.raises(ConfigError, match="max_tokens is 3"):
        ChunkingConfig(max_tokens=3)
