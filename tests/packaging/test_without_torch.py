"""Tests of the packages below the engines need no model library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..conftest import REPOSITORY

_PYTEST_WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "sentence_transformers"):
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def run_without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PYTEST_WITHOUT_TORCH, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_text_is_tested_without_torch() -> None:
    """Tests of core, markdown and chunking run where torch cannot be imported."""
    files = ("core/test_identity.py", "markdown/test_joining.py", "chunking/test_text_cutting.py")
    done = run_without_torch(*(f"tests/unit/{file}" for file in files))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_packages_below_the_engines_are_collected_without_torch() -> None:
    """No test module, fixture or helper of these packages imports torch when it is loaded."""
    packages = ("core", "markdown", "chunking", "documents", "system", "store", "pipeline")
    done = run_without_torch("--collect-only", *(f"tests/unit/{package}" for package in packages))

    assert done.returncode == 0, done.stdout + done.stderr
