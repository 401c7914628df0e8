"""``ingest`` when its server is away longer than the command waits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opticalrag.ingest import assembly
from opticalrag.ingest.core.config import StoreConfig
from opticalrag.ingest.core.errors import StoreUnavailable
from opticalrag.ingest.maintenance.maintenance import verify_store
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.ingest.system.retry import Retry
from opticalrag.retrievers.cli import main

from ..qdrant_server import serving
from ..unit.pipeline.test_pipeline import page_text, write_pdf

Ingest = Callable[[str, int], dict[str, Any]]


@pytest.fixture
def ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ingest:
    """Ingests three documents in this process and waits one second for a server."""
    for subject in ("valve", "pump", "rotor"):
        write_pdf(tmp_path / f"{subject}.pdf", page_text(subject), page_text(subject * 2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(assembly, "Retry", lambda **_: Retry(total=1.0))

    def run(url: str, code: int) -> dict[str, Any]:
        words = ["ingest", ".", "--engine", "layout", "--qdrant", url, "--json"]
        monkeypatch.setattr(sys, "argv", ["opticalrag", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        values: dict[str, Any] = json.loads(capsys.readouterr().out)
        return values

    return run


def test_a_run_ends_when_its_server_is_away_too_long_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ingest: Ingest
) -> None:
    """Exit code 3, then 0; no page is parsed twice."""
    upsert = QdrantStore.upsert
    with serving(tmp_path / "server") as service:

        def upsert_and_go(store: QdrantStore, points: Any) -> int:
            written = upsert(store, points)
            service.kill()
            return written

        with monkeypatch.context() as away:
            away.setattr(QdrantStore, "upsert", upsert_and_go)
            first = ingest(service.url, 3)
        service.start()
        second, third = ingest(service.url, 0), ingest(service.url, 0)
        config = StoreConfig(service.url)
        with assembly.open_store(config) as store:
            assert verify_store(store, config).problems == ()
            assert [one.pages for one in store.documents()] == [2, 2, 2]

    assert (first["interrupted"], first["documents"]) == (True, 1)
    assert [one["code"] for one in first["failures"]] == ["store_unavailable"]
    assert "run it again to go on" in first["failures"][0]["message"]
    assert not second["interrupted"]
    assert first["pages_parsed"] + second["pages_parsed"] == 6
    assert third["unchanged"] == 3


def test_a_run_whose_server_leaves_before_anything_is_stored_did_not_fail_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ingest: Ingest
) -> None:
    """The exit code is 3 as later in a run: parsed pages are in the journal for the next run."""
    with serving(tmp_path / "server") as service:

        def away(store: QdrantStore, points: Any) -> int:
            service.kill()
            raise StoreUnavailable("nobody answers")

        monkeypatch.setattr(QdrantStore, "upsert", away)
        report = ingest(service.url, 3)

    assert (report["interrupted"], report["documents"]) == (True, 0)
