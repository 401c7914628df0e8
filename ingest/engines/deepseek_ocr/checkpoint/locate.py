"""Find a model's files: a local folder, or a repository of the hub at a pinned commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ....core.errors import CheckpointMismatch, MissingExtra, ModelNotFound
from .family import PUBLISHED
from .headers import read_json

__all__ = ["DEFAULT_MODEL", "ModelFolder", "locate", "weight_files"]

DEFAULT_MODEL = PUBLISHED[0].repo

# No *.py and no *.bin: neither code nor pickles reach this machine.
_WANTED = ["*.json", "*.safetensors"]
_NEVER = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_INDEX = "model.safetensors.index.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with a model's files, and the name by which people know the model."""

    path: Path
    name: str


def locate(
    source: str | Path, revision: str | None = None, *, download: bool = True
) -> ModelFolder:
    """Find the folder of a model, downloading it if it is on the hub and not here.

    Args:
        source: a local folder, or a hub id such as ``"deepseek-ai/DeepSeek-OCR"``.
        revision: commit on the hub; None for the one known to this version. Other
            repositories need one, so that the same call always means the same weights.
        download: False to look only at what is here.

    Raises:
        ModelNotFound: no such folder, nothing on the hub under this name, or no connection.
        MissingExtra: the hub is needed and its client is not installed.
    """
    name, path = str(source), Path(source)
    if name and path.is_dir():
        return ModelFolder(path, path.resolve().name)
    if not isinstance(source, str) or not _HUB_ID.fullmatch(name):
        raise ModelNotFound(
            f"there is no folder {name!r}; give the folder that holds config.json and the"
            f" .safetensors files, or a hub id such as {DEFAULT_MODEL!r}"
        )
    pinned = revision or {f.repo: f.revision for f in PUBLISHED}.get(name)
    if pinned is None:
        raise ModelNotFound(
            f"no commit of {name!r} is known to be right; pass revision= with the full commit"
            f" hash, or use {DEFAULT_MODEL!r}"
        )
    return ModelFolder(_download(name, pinned, download), name)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, as its index names them if it has one.

    Raises:
        ModelNotFound: there are none, or the index names one that is not there.
        CheckpointMismatch: the index is malformed or names a file outside the folder.
    """
    if not (folder / _INDEX).is_file():
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise ModelNotFound(_nothing_in(folder))
        return files
    weight_map = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointMismatch(f"{folder / _INDEX} has no weight_map; download it again")
    names = list(dict.fromkeys(weight_map.values()))
    for name in names:
        if not _is_plain_name(name):
            raise CheckpointMismatch(
                f"{folder / _INDEX} names the file {name!r}, which is not a .safetensors file in"
                " that folder; do not use this copy, download the model again"
            )
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelNotFound(f"{folder} lacks {', '.join(missing[:3])}; download it again")
    return [folder / name for name in names]


def _is_plain_name(name: object) -> bool:
    return (
        isinstance(name, str)
        and re.fullmatch(r"[\w.-]+\.safetensors", name) is not None
        and not name.startswith(".")
    )


def _nothing_in(folder: Path) -> str:
    pickles = [path.name for pattern in _NEVER for path in sorted(folder.glob(pattern))]
    if pickles:
        return (
            f"{folder} holds {', '.join(pickles[:3])} and no .safetensors file; such files are"
            " pickles, which can run code, and are never loaded. Download the .safetensors files"
        )
    return f"{folder} holds no .safetensors file; download the model's files into it"


def _download(name: str, revision: str, download: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, RevisionResolutionError
    except ImportError as error:
        raise MissingExtra("downloading a model", "gpu") from error
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=_WANTED, local_files_only=not download
        )
    except (OSError, HFValidationError, RevisionResolutionError) as error:
        # Offline, unknown, private and gated repositories all end here, with the client's words.
        cause = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelNotFound(
            f"{name} at {revision[:12]} is neither in the local cache nor to be had: {cause}."
            f" With a connection, run: opticalrag models download {name} --revision {revision};"
            " without one, give a folder that holds the files"
        ) from error
    return Path(folder)
