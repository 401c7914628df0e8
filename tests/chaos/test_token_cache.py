"""Two processes write to one cache and are killed again and again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from opticalrag.ingest.core.config import TokenCacheConfig
from opticalrag.ingest.token_cache.cache import TokenCache
from opticalrag.ingest.token_cache.file import decode_tokens

from ..conftest import REPOSITORY
from ..unit.token_cache.test_codecs import same, tokens

ROUNDS = 25  # of two kills each


def start(folder: Path, writer: str) -> subprocess.Popen[str]:
    """Start a writer in its own process."""
    program = [sys.executable, "-m", "tests.chaos.token_writer", str(folder), writer]
    return subprocess.Popen(program, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def killed_while_writing(writer: subprocess.Popen[str], moment: float) -> list[str]:
    """Kill a writer in the middle of its work; return the entries that were confirmed to it."""
    assert writer.stdout is not None
    first = writer.stdout.readline()
    time.sleep(moment)
    writer.kill()
    rest = writer.stdout.read()
    writer.stdout.close()
    writer.wait()
    lines = (first + rest).split("\n")
    return lines[:-1]  # the last line may be cut


@pytest.mark.slow
def test_no_kill_tears_or_loses_an_entry(tmp_path: Path) -> None:
    """Confirmed entries are there and intact; index and files agree after opening."""
    folder = tmp_path / "tokens"
    moments = np.random.default_rng(0)
    acknowledged: set[str] = set()
    for number in range(ROUNDS):
        writers = [start(folder, f"{name}{number}") for name in "ab"]
        for writer in writers:
            acknowledged.update(killed_while_writing(writer, moments.uniform(0, 0.05)))
    with TokenCache(TokenCacheConfig(str(folder))) as cache:
        recorded = cache._index.names()
        there = {file.stem for file in folder.glob("??/*.safetensors")}
        assert len(acknowledged) >= 2 * ROUNDS
        assert acknowledged <= recorded
        assert recorded == there
        assert all(same(decode_tokens(cache.read_file(name)), tokens()) for name in recorded)
        assert cache.totals().entries == len(there)
        check = cache.verify()
        assert check.damaged == check.missing == check.adopted == ()
