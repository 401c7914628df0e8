"""The engine with one process per device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from opticalrag.ingest.core.config import EngineConfig, OpticalConfig, WorkLimits
from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.core.records import PageFailure, PageOutcome, PageTask, ParsedPage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines import multi_gpu
from opticalrag.ingest.engines.choice import load_model, make_engine
from opticalrag.ingest.engines.multi_gpu import Job, MultiGpuEngine, device_environments

from ..pipeline.test_pipeline import page_text, write_pdf
from .helpers_multi_gpu import fail_always, fail_job, name_process, same, take_time


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[list[PageTask]]:
    """Five pages."""
    write_pdf(tmp_path / "a.pdf", *(page_text("valve") for _ in range(5)))
    with open_document(tmp_path / "a.pdf") as document:
        yield list(document.tasks())


def made(read: object, **options: object) -> MultiGpuEngine:
    """An engine with two processes that call a function instead of a model."""
    return MultiGpuEngine(
        "two",
        EngineConfig(),
        read=read,  # type: ignore[arg-type]
        fingerprint=same,
        environments=[{"GPU": "a"}, {"GPU": "b"}],
        **options,  # type: ignore[arg-type]
    )


def test_pages_come_in_order_from_processes_with_their_own_device(tasks: list[PageTask]) -> None:
    """A few pages are shared evenly."""
    with closing(made(name_process)) as engine:
        outcomes = list(engine.parse(tasks))
    pages = [outcome for outcome in outcomes if isinstance(outcome, ParsedPage)]
    assert [page.ref.index for page in pages] == [0, 1, 2, 3, 4]
    assert {page.engine for page in pages} == {"a", "b"}


def test_many_pages_go_out_in_full_jobs(
    tasks: list[PageTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full job has as many pages as fill a device."""
    monkeypatch.setattr(multi_gpu, "_PAGES", 2)
    engine = made(name_process)
    jobs: list[Job] = list(engine._jobs(iter(tasks * 2)))
    assert [len(job.tasks) for job in jobs] == [2, 2, 2, 2, 2]
    assert [len(job.tasks) for job in engine._jobs(iter(tasks[:3]))] == [2, 1]
    assert list(engine._jobs(iter([]))) == []


def test_a_page_that_ends_its_process_is_lost_alone(tasks: list[PageTask]) -> None:
    """The other pages of its job are read, in order."""
    with closing(made(fail_job)) as engine:
        outcomes = list(engine.parse([*tasks, *tasks[:3]]))
    read = [outcome.ref.index for outcome in outcomes if isinstance(outcome, ParsedPage)]
    assert read == [0, 1, 2, 3, 0, 1, 2]
    failed = outcomes[4]
    assert isinstance(failed, PageFailure)
    assert (failed.code, failed.number) == ("crashed", 5)


def test_not_every_page_is_tried_if_every_job_crashes(
    tasks: list[PageTask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause is not a page then. Each page is reported."""
    monkeypatch.setattr(multi_gpu, "_HOPELESS", 2)
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    with closing(made(fail_always)) as engine:
        outcomes = list(engine.parse(tasks * 4))
    assert [type(outcome) for outcome in outcomes] == [PageFailure] * 20
    assert len((tmp_path / "notes").read_text().split()) < 20


def test_a_job_has_the_time_of_its_pages(
    tasks: list[PageTask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the time of a full job nor that of a single page."""
    monkeypatch.setattr(multi_gpu, "_LOADING", 1.0)
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    with closing(made(take_time, limits=WorkLimits(0.5))) as engine:
        started = time.monotonic()
        outcomes = list(engine.parse(tasks))
    assert [type(outcome) for outcome in outcomes] == [ParsedPage] * 4 + [PageFailure]
    assert isinstance(outcomes[-1], PageFailure)
    assert outcomes[-1].code == "timeout"
    assert time.monotonic() - started < 30


def test_workers_have_no_effect_with_several_devices(caplog: pytest.LogCaptureFixture) -> None:
    """A warning says so."""
    optical = OpticalConfig(device="cpu,cpu")
    make_engine(EngineConfig("deepseek-ocr", workers=3, optical=optical)).close()
    assert "workers=3 has no effect" in caplog.text


def test_devices_are_counted_among_those_that_are_visible() -> None:
    """By number, or by name if a scheduler gives names."""
    first, second = {"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}
    assert device_environments(["cuda:0", "cuda:1"], None) == [first, second]
    assert device_environments(["cuda:1"], "GPU-5f,GPU-7a") == [{"CUDA_VISIBLE_DEVICES": "GPU-7a"}]
    assert device_environments(["cpu", "cpu"], "3") == [{}, {}]


@pytest.mark.parametrize(
    ("devices", "visible", "what"),
    [
        (["cuda:0", "cuda:5"], "2,3", "not visible"),
        (["cuda:0"], "", "not visible"),
        (["cuda:1"], "0,-1,1", "not visible"),
        (["cuda:0", "cuda:0"], None, "twice"),
        (["cuda:0", "cuda:00"], None, "twice"),
        (["cuda:0", "cuda:1"], "7, 7", "twice"),
        (["cuda:x", "cuda:1"], None, "by number"),
        (["cuda:-1", "cuda:1"], None, "by number"),
        (["cuda:²", "cuda:1"], None, "by number"),
        (["cuda:" + "9" * 5000], None, "by number"),
    ],
)
def test_unavailable_gpus_are_rejected(devices: list[str], visible: str | None, what: str) -> None:
    """Before a process fails to find them, or takes a GPU of another user."""
    with pytest.raises(ConfigError, match=what):
        device_environments(devices, visible)


def test_one_model_is_on_one_device() -> None:
    """A list of devices is an error for a single model."""
    with pytest.raises(ConfigError, match="a model runs on one"):
        load_model(OpticalConfig(device="cuda:0,cuda:1"))


@pytest.mark.parametrize("device", ["cuda:0,cpu", "cuda,cuda:1", "tpu:0,tpu:1", "cuda:0,"])
def test_invalid_device_lists_are_rejected(device: str) -> None:
    """Before a process is started."""
    with pytest.raises(ConfigError, match="cuda:0,cuda:1"):
        make_engine(EngineConfig("deepseek-ocr", optical=OpticalConfig(device=device)))


@pytest.mark.slow
def test_two_processes_read_what_one_reads(tiny_checkpoint: Path, tasks: list[PageTask]) -> None:
    """A tiny checkpoint reads the same, with the same fingerprint."""

    def read(device: str) -> tuple[str, list[PageOutcome]]:
        optical = OpticalConfig(
            str(tiny_checkpoint), mode="tiny", device=device, max_output_tokens=8
        )
        with closing(make_engine(EngineConfig("deepseek-ocr", optical=optical))) as engine:
            return engine.fingerprint, list(engine.parse(tasks[:3]))

    (one, alone), (two, together) = read("cpu"), read("cpu,cpu")
    assert one == two
    for a, b in zip(alone, together, strict=True):
        assert isinstance(a, ParsedPage)
        assert isinstance(b, ParsedPage)
        assert (a.ref, a.blocks, a.flags) == (b.ref, b.blocks, b.flags)
