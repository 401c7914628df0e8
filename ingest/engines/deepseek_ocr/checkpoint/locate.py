"""Find a model's files: in a local folder, or in a Hugging Face repository at a pinned commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ....core.errors import CheckpointMismatch, MissingExtra, ModelNotFound
from .family import PUBLISHED
from .headers import read_json

__all__ = ["DEFAULT_MODEL", "ModelFolder", "locate", "weight_files"]

DEFAULT_MODEL = PUBLISHED[0].repo

# Neither *.py nor *.bin: code and pickles are not even downloaded.
_WANTED = ["*.json", "*.safetensors"]
_NEVER = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_INDEX = "model.safetensors.index.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with a model's files, and the name of the model."""

    path: Path
    name: str


def locate(
    source: str | Path, revision: str | None = None, *, download: bool = True
) -> ModelFolder:
    """Find the folder of a model; download a repository that is not in the local cache.

    Args:
        source: a local folder, or a repository such as ``"deepseek-ai/DeepSeek-OCR"``.
        revision: commit of the repository, so that a call always loads the same weights. None
            takes the commit pinned in this version; other repositories have none.
        download: False to use the local cache only.

    Raises:
        ModelNotFound: the folder or the repository does not exist, or there is no connection.
        MissingExtra: a repository is needed and ``huggingface_hub`` is not installed.
    """
    name, path = str(source), Path(source)
    if name and path.is_dir():
        return ModelFolder(path, path.resolve().name)
    if not isinstance(source, str) or not _HUB_ID.fullmatch(name):
        raise ModelNotFound(
            f"model folder not found: {name!r}; give the folder that holds config.json and the"
            f" .safetensors files, or a Hugging Face repository such as {DEFAULT_MODEL!r}"
        )
    pinned = revision or {f.repo: f.revision for f in PUBLISHED}.get(name)
    if pinned is None:
        raise ModelNotFound(
            f"no pinned commit for {name!r}; pass revision= with the full commit hash, or use"
            f" {DEFAULT_MODEL!r}"
        )
    return ModelFolder(_download(name, pinned, download), name)


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a folder: those in its index, or all if it has no index.

    Raises:
        ModelNotFound: there are none, or a file of the index is missing.
        CheckpointMismatch: the index is malformed, or names a file outside the folder.
    """
    if not (folder / _INDEX).is_file():
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise ModelNotFound(_no_files_message(folder))
        return files
    weight_map = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointMismatch(f"no weight_map in {folder / _INDEX}; download it again")
    names = list(dict.fromkeys(weight_map.values()))
    for name in names:
        if not _is_plain_name(name):
            raise CheckpointMismatch(
                f"unsafe file name {name!r} in {folder / _INDEX}: expected a .safetensors file in"
                " that folder; do not use this copy, download the model again"
            )
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelNotFound(f"missing in {folder}: {', '.join(missing[:3])}; download it again")
    return [folder / name for name in names]


def _is_plain_name(name: object) -> bool:
    plain = r"(?!\.)[\w.-]+\.safetensors"
    return isinstance(name, str) and re.fullmatch(plain, name) is not None


def _no_files_message(folder: Path) -> str:
    pickles = [path.name for pattern in _NEVER for path in sorted(folder.glob(pattern))]
    if pickles:
        return (
            f"no .safetensors file in {folder}, only {', '.join(pickles[:3])}: pickles can run"
            " code and are never loaded. Download the .safetensors files"
        )
    return f"no .safetensors file in {folder}; download the model's files there"


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
        # No connection, and unknown, private or gated repositories. The client's message tells.
        cause = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelNotFound(
            f"{name} at {revision[:12]} is not in the local cache, and downloading failed: {cause}."
            f" With a connection, run: opticalrag models download {name} --revision {revision};"
            " without one, give a folder that holds the files"
        ) from error
    return Path(folder)
