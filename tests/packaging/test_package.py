"""The package as built and imported."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ..conftest import REPOSITORY

SOURCES = [
    path
    for folder in ("ingest", "retrievers", "benchmarks")
    for path in (REPOSITORY / folder).rglob("*.py")
]


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_importing_loads_no_model_library() -> None:
    """Importing both packages loads neither torch, transformers, Qdrant nor LlamaIndex."""
    loaded = python(
        "import sys, opticalrag.ingest, opticalrag.retrievers\n"
        "heavy = ['torch', 'transformers', 'qdrant_client', 'llama_index', 'pymupdf', 'numpy']\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    assert loaded == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_files_stay_small(path: Path) -> None:
    """One concept per file fits into 500 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.slow
def test_the_wheel_holds_the_two_packages_only(tmp_path: Path) -> None:
    """The wheel contains the packages, their data files and the licence, and nothing else."""
    copy = tmp_path / "copy"  # setuptools would add the leftovers of an earlier build in build/lib
    shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(".*", "build", "__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path)]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, str(copy)], check=True, timeout=120
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = [n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n]

    assert {"/".join(n.split("/")[:2]) for n in names} == {
        "opticalrag/__init__.py",
        "opticalrag/py.typed",
        "opticalrag/ingest",
        "opticalrag/retrievers",
    }
    assert {n for n in names if not n.endswith(".py")} == {
        "opticalrag/ingest/engines/deepseek_ocr/kernels/tiles.json",
        "opticalrag/py.typed",
    }
    sources = {
        f"opticalrag/{p.relative_to(REPOSITORY).as_posix()}"
        for folder in ("ingest", "retrievers")
        for p in (REPOSITORY / folder).rglob("*.py")
    }
    assert {n for n in names if n.endswith(".py")} == {"opticalrag/__init__.py", *sources}
