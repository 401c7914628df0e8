"""Creates the virtual environments of the other chunkers on first use.

They are separate from the project's own environment because their requirements conflict with its
constraints.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from dataclasses import asdict, dataclass
from pathlib import Path

from .protocol import Outcome, PeerInput, read_outcomes

__all__ = ["PEERS", "Peer", "PeerUnavailable", "environment", "run", "run_or_why_not"]

REPOSITORY = Path(__file__).resolve().parents[2]

# One thread, no hub: the benchmark times one core and must not download anything.
_SETTINGS = {
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True)
class Peer:
    """Another chunker: its runner, its requirements, and the constraints it conflicts with.

    Without ``requirements`` it runs in the project's own environment.
    """

    runner: str
    requirements: tuple[str, ...] = ()
    unpinned: frozenset[str] = frozenset()


PEERS = {
    "docling-core": Peer(
        "run_docling",
        # 3.0.0 is older than 2.104 and was withdrawn.
        ("docling-core[chunking]>=2.104,<3",),
        frozenset({"typer"}),
    ),
    # Not in the project's environment: MarkdownElementNodeParser wants pandas.
    "LlamaIndex": Peer("run_llamaindex", ("llama-index-core", "pandas", "tokenizers")),
    "pymupdf4llm": Peer("run_pymupdf4llm"),
    "chonkie": Peer("run_chonkie", ("chonkie>=1.7,<2", "tokenizers")),
}


class PeerUnavailable(Exception):
    """A peer cannot be installed or run."""


def environment(peer: Peer, cache: Path) -> Path:
    """Return the Python of a peer's environment, which is created in ``cache`` if missing.

    Raises:
        PeerUnavailable: it cannot be installed.
    """
    if not peer.requirements:
        return Path(sys.executable)
    folder = cache / peer.runner
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "requirements.txt"
    wanted = "\n".join(peer.requirements)
    if not (done.is_file() and done.read_text("utf-8") == wanted):
        try:
            venv.create(folder, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise PeerUnavailable(f"no environment can be made: {error}") from error
        pins = folder / "constraints.txt"
        pins.write_text(_constraints(peer.unpinned), "utf-8")
        command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        _call([*command, "-c", pins, *peer.requirements])
        done.write_text(wanted, "utf-8")
    return python


def run(peer: Peer, python: Path, given: PeerInput) -> list[Outcome]:
    """Run a peer on the sources.

    Raises:
        PeerUnavailable: its process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "input.json"), Path(folder, "output.json")
        source.write_text(json.dumps(asdict(given)), "utf-8")
        _call([python, "-m", f"benchmarks.peers.{peer.runner}", source, target])
        return read_outcomes(target)


def run_or_why_not(peer: Peer, cache: Path, given: PeerInput) -> list[Outcome] | str:
    """Install a peer if necessary and run it, or return what went wrong."""
    try:
        return run(peer, environment(peer, cache), given)
    except PeerUnavailable as error:
        return str(error)


def _constraints(unpinned: frozenset[str]) -> str:
    lines = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if re.split(r"[=\s]", line)[0] not in unpinned)


def _call(command: list[str | Path]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=REPOSITORY,
        env={**os.environ, **_SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        # pip warns about every index it cannot reach; the actual error comes last.
        lines = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        raise PeerUnavailable(" ".join(lines[-3:]) or f"exit code {done.returncode}")
