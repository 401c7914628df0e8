"""Functions that processes of the tests run."""

from __future__ import annotations

import os

from opticalrag.ingest.config import EngineConfig
from opticalrag.ingest.spread import Job
from opticalrag.ingest.types import PageOutcome, ParsedPage


def name_process(job: Job) -> list[PageOutcome]:
    """Pages that say which device read them."""
    return [ParsedPage(task.ref, 1, 1, (), os.environ["GPU"]) for task in job.tasks]


def fail_job(job: Job) -> list[PageOutcome]:
    """Die of the last page."""
    if any(task.ref.index == 4 for task in job.tasks):
        os._exit(3)
    return name_process(job)


def same(config: EngineConfig) -> str:
    """A fingerprint."""
    return config.name
