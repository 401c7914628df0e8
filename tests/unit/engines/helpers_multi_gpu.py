"""Functions that the tests run in worker processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from opticalrag.ingest.core.config import EngineConfig
from opticalrag.ingest.core.records import PageOutcome, ParsedPage
from opticalrag.ingest.engines.multi_gpu import Job


def name_process(job: Job) -> list[PageOutcome]:
    """Return pages with the device as the engine's name."""
    return [ParsedPage(task.ref, 1, 1, (), os.environ["GPU"]) for task in job.tasks]


def fail_job(job: Job) -> list[PageOutcome]:
    """End the process if the job contains the last page."""
    if any(task.ref.index == 4 for task in job.tasks):
        os._exit(3)
    return name_process(job)


def fail_always(job: Job) -> list[PageOutcome]:
    """Write a note and end the process."""
    note(job)
    os._exit(3)


def take_time(job: Job) -> list[PageOutcome]:
    """Take 0.3 seconds per page; the last page never ends."""
    note(job)
    for task in job.tasks:
        time.sleep(60 if task.ref.index == 4 else 0.3)
    return name_process(job)


def note(job: Job) -> None:
    """Append the size of the job to the file that the test reads."""
    with Path(os.environ["NOTES"]).open("a") as file:
        file.write(f"{len(job.tasks)}\n")


def same(config: EngineConfig) -> str:
    """Return the name as the fingerprint."""
    return config.name
