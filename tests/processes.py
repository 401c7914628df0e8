"""Commands in processes of their own that need not import everything again."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from unittest import mock

__all__ = ["run_command"]

_context = multiprocessing.get_context("forkserver")
# What commands import before they work: it takes seconds, and begins no thread.
_context.set_forkserver_preload(
    [
        "opticalrag.retrievers.cli",
        "opticalrag.ingest.engines.layout",
        "opticalrag.ingest.indexing.minilm",
        "opticalrag.ingest.llama_index.events",
        "opticalrag.ingest.pipeline.pipeline",
        "opticalrag.ingest.store.store",
    ]
)


def run_command(
    *arguments: str, cwd: Path, timeout: float = 180
) -> subprocess.CompletedProcess[str]:
    """Run ``opticalrag`` with its own streams, folder and exit code."""
    with tempfile.TemporaryDirectory() as folder:
        process = _context.Process(target=_command, args=(arguments, str(cwd), folder))
        with mock.patch.dict(sys.modules, __main__=ModuleType("__main__")):  # not pytest again
            process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout)
        out, err = (Path(folder, name).read_text(encoding="utf-8") for name in ("out", "err"))
        return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def _command(arguments: Sequence[str], cwd: str, folder: str) -> None:
    from opticalrag.retrievers.cli import main

    for number, name in ((1, "out"), (2, "err")):
        descriptor = os.open(Path(folder, name), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for name in [name for name in os.environ if name.startswith("QDRANT_")]:
        del os.environ[name]
    os.chdir(cwd)
    sys.argv = ["opticalrag", *arguments]
    main()
