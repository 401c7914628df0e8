"""Exactness: with any slots, guesses, lag and order, each page gets the answer it gets alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from benchmarks.decoding.exactness import Case, chance_loop, page_of_noise, read_cases
from benchmarks.decoding.one_by_one import Reference
from opticalrag.ingest.core.errors import ConfigError, EngineError, OpticalRagError, OutOfMemory
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.vision import DecodeRequest, Transcript
from opticalrag.ingest.engines.deepseek_ocr.decoder.decoder import Decoder
from opticalrag.ingest.engines.deepseek_ocr.decoder.loops import cycle_start
from opticalrag.ingest.engines.deepseek_ocr.decoder.ngram import NoRepeat
from opticalrag.ingest.engines.deepseek_ocr.decoder.plan import DecodePlan, SlotClass
from opticalrag.ingest.engines.deepseek_ocr.decoder.scheduler import Page, Scheduler
from opticalrag.ingest.engines.deepseek_ocr.decoder.slots import Slots
from opticalrag.ingest.engines.deepseek_ocr.decoder.step import Stepper
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from .....conftest import TINY_SYNTHETIC
from ..helpers_decoding import PAGES, answers, expected, one_thread, plan_of


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def test_the_cases_end_for_every_reason(cases: list[Case]) -> None:
    """Otherwise the tests below would prove little."""
    reasons = Counter(case.answer.reason for case in cases)
    lengths = [len(case.answer.ids) for case in cases]
    assert len(reasons) == 3, reasons
    assert max(lengths) > 8 * min(lengths)


@pytest.mark.parametrize(("guesses", "lag"), [(0, 0), (0, 3), (5, 0), (3, 2)])
@pytest.mark.parametrize("slots", [1, 2, 7, 16, 64])
def test_pages_in_slots_equal_generate_on_each_alone(
    decoder: Decoder, cases: list[Case], slots: int, guesses: int, lag: int
) -> None:
    """Every id and finish reason, with and without guesses, at any lag."""
    found = decoder.decode([case.request for case in cases], plan_of(slots, guesses, lag))
    assert answers(found) == expected(cases)


@pytest.fixture(scope="module")
def reader() -> DeepSeekOcr:
    """The trained small model in float32, so that answers can be compared."""
    return DeepSeekOcr(TINY_SYNTHETIC, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def cards(reader: DeepSeekOcr) -> list[Case]:
    """A few cards, and the long answer of ``generate`` to each."""
    return read_cases(reader, PAGES // 4)


@pytest.mark.parametrize(("guesses", "lag"), [(0, 0), (7, 2)])
@pytest.mark.parametrize("slots", [1, 7, 64])
def test_cards_in_slots_equal_generate_on_each_alone(
    reader: DeepSeekOcr, cards: list[Case], slots: int, guesses: int, lag: int
) -> None:
    """On real text, with the page's own text as the draft."""
    decoder = Decoder(reader.network, reader.tokenizer, reader.weights)
    found = decoder.decode([case.request for case in cards], plan_of(slots, guesses, lag, 256))
    assert answers(found) == expected(cards)
    assert guesses == 0 or decoder.tally.accepted > 0.2 * decoder.tally.guessed


@settings(max_examples=12)
@given(
    order=st.permutations(range(12)),
    slots=st.integers(1, 6),
    guesses=st.sampled_from([0, 1, 4]),
    lag=st.integers(0, 3),
    short=st.integers(100, 300),
)
def test_answers_do_not_depend_on_the_order_of_arrival(
    decoder: Decoder,
    cases: list[Case],
    order: list[int],
    slots: int,
    guesses: int,
    lag: int,
    short: int,
) -> None:
    """Pages come one by one from a source that is read as slots become free."""
    arriving = [cases[i] for i in order]
    plan = plan_of(slots, guesses, lag, short)
    found = dict(decoder.stream((case.request for case in arriving), plan))
    assert answers([found[i] for i in range(len(arriving))]) == expected(arriving)


@pytest.mark.parametrize(("slots", "most"), [(2, 1), (36, 3)])
def test_a_stream_reads_a_few_requests_between_two_steps(
    decoder: Decoder,
    cases: list[Case],
    monkeypatch: pytest.MonkeyPatch,
    slots: int,
    most: int,
) -> None:
    """Drawing their pages stalls decoding; and late requests must not wait long."""
    asked = [0]
    step = Stepper.step

    def source() -> Iterator[DecodeRequest]:
        for case in cases:
            asked[-1] += 1
            yield case.request

    def counted(self: Stepper, classes: object, shape: object, guesses: int) -> torch.Tensor:
        asked.append(0)
        return step(self, classes, shape, guesses)  # type: ignore[arg-type]

    monkeypatch.setattr(Stepper, "step", counted)
    found = dict(decoder.stream(source(), plan_of(slots, lag=1)))
    assert answers([found[number] for number in range(len(cases))]) == expected(cases)
    assert max(asked) == most
    assert sum(asked) == len(cases)


def test_a_stream_reads_no_further_than_needed(decoder: Decoder, cases: list[Case]) -> None:
    """Pages read ahead take memory."""
    asked = 0

    def source() -> Iterator[DecodeRequest]:
        nonlocal asked
        for case in cases:
            asked += 1
            yield case.request

    next(decoder.stream(source(), plan_of(2)))
    assert asked < len(cases)


def test_a_waiting_page_is_examined_only_when_it_may_start(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long queue costs no time while all slots are taken."""
    examined, free = 0, Scheduler._find_free

    def counted(self: Scheduler, page: Page, above: int = -1) -> tuple[int, int] | None:
        nonlocal examined
        examined += above < 0
        return free(self, page, above)

    monkeypatch.setattr(Scheduler, "_find_free", counted)
    found = decoder.decode([case.request for case in cases], plan_of(3))
    assert answers(found) == expected(cases)
    assert examined == len(cases)


@pytest.mark.parametrize("guesses", [0, 3])
def test_slots_must_hold_the_page_with_its_answer(
    decoder: Decoder, cases: list[Case], guesses: int
) -> None:
    """An exact fit is enough. A GPU would not report a write past a slot's end."""
    case = max(cases, key=lambda case: len(case.answer.ids))
    request = replace(case.request, max_tokens=len(case.answer.ids))
    length = decoder.prompt_length(request) + len(case.answer.ids) + guesses
    plan = DecodePlan((SlotClass(2, length),), guesses)
    assert decoder.decode([request], plan)[0].ids == case.answer.ids
    with pytest.raises(ConfigError, match=f"take {length} tokens, .* {length - 1}; use longer"):
        decoder.decode([request], replace(plan, classes=(SlotClass(2, length - 1),)))


@pytest.mark.parametrize("at", [0, 5, 23])
def test_a_refused_request_does_not_affect_others(
    decoder: Decoder, cases: list[Case], at: int
) -> None:
    """It yields an error with its number, at any position in a stream."""
    requests = [case.request for case in cases]
    others = replace(requests[0].tokens, weights="of another model")
    requests.insert(at, replace(requests[0], tokens=others))
    found = dict(decoder.stream(requests, plan_of(4, lag=1)))
    refused = found.pop(at)
    assert isinstance(refused, EngineError)
    assert answers([found[number] for number in sorted(found)]) == expected(cases)


def test_a_stream_of_only_refused_requests_ends(decoder: Decoder, cases: list[Case]) -> None:
    """It yields an error for each."""
    request = replace(cases[0].request, max_tokens=0)
    found = dict(decoder.stream([request, request], plan_of(4)))
    assert {number: type(error) for number, error in found.items()} == {
        0: ConfigError,
        1: ConfigError,
    }


def test_a_late_request_does_not_wait_for_the_last_answer(
    decoder: Decoder, cases: list[Case]
) -> None:
    """A stream that had no request for a while is asked again."""
    short, late, *_, long = sorted(cases, key=lambda case: len(case.answer.ids))
    found: dict[int, Transcript | OpticalRagError] = {}

    def source() -> Iterator[DecodeRequest | None]:
        yield long.request
        yield short.request
        while not found:
            yield None
        yield late.request

    for numbered in decoder.stream(source(), plan_of(2, lag=1)):
        found.update([numbered])
    assert list(found) == [1, 2, 0]
    assert answers([found[number] for number in range(3)]) == expected([long, short, late])


def test_a_stream_without_requests_ends_when_no_page_is_under_way(
    decoder: Decoder, cases: list[Case]
) -> None:
    """Otherwise it would be asked forever. A refused request does not count as under way."""

    def source() -> Iterator[DecodeRequest | None]:
        yield replace(cases[0].request, max_tokens=0)
        while True:
            yield None

    ((number, error),) = decoder.stream(source(), plan_of(2))
    assert (number, type(error)) == (0, ConfigError)


def test_accepted_guesses_save_steps(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step writes up to five ids if the draft is the answer. Without a draft it guesses none."""
    case = max(cases, key=lambda case: len(case.answer.ids))
    text = decoder._tokenizer.decode(case.answer.ids)
    widths: list[int] = []
    step = Stepper.step

    def counted(self: Stepper, classes: object, shape: object, guesses: int) -> torch.Tensor:
        widths.append(guesses)
        return step(self, classes, shape, guesses)  # type: ignore[arg-type]

    monkeypatch.setattr(Stepper, "step", counted)

    def steps(draft: str) -> int:
        widths.clear()
        request = replace(case.request, draft=draft)
        plan = replace(plan_of(1, guesses=4), break_even=0.5)
        assert answers(decoder.decode([request], plan)) == expected([case])
        return len(widths)

    length = len(case.answer.ids)
    assert steps(text) < 0.3 * length
    assert steps("") >= length - 1
    assert set(widths) == {0}


@pytest.mark.parametrize("window", [0, 1, 2, 3])
def test_guesses_do_not_need_a_long_rule_window(
    talker: DeepSeekOcr, cases: list[Case], window: int
) -> None:
    """Rows keep the three ids of a match, however small the window."""
    rule = NoRepeat(2, window)
    ours = Decoder(talker.network, talker.tokenizer, talker.weights, rule, chance_loop)
    requests = [replace(case.request, max_tokens=20) for case in cases[:6]]
    assert any(request.draft for request in requests)
    guessed = ours.decode(requests, plan_of(3, guesses=4))
    assert ours.tally.guessed
    assert answers(guessed) == answers(ours.decode(requests, plan_of(3)))


class Shortage:
    """Runs out of memory at some calls."""

    def __init__(self, failing: Sequence[int]) -> None:
        self.calls = 0
        self.failing = set(failing)

    def __call__(self) -> None:
        """Count the call; raise if it is one of those."""
        self.calls += 1
        if self.calls in self.failing:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")


@pytest.mark.parametrize("failing", [[1], [3, 4], [30], [2, 20, 40]])
def test_no_page_is_lost_when_memory_runs_out(
    decoder: Decoder,
    cases: list[Case],
    monkeypatch: pytest.MonkeyPatch,
    failing: list[int],
) -> None:
    """Decoding continues with fewer slots; running pages start again."""
    shortage, step = Shortage(failing), Stepper.step

    def short(self: Stepper, classes: object, shape: object, guesses: int) -> torch.Tensor:
        shortage()
        return step(self, classes, shape, guesses)  # type: ignore[arg-type]

    monkeypatch.setattr(Stepper, "step", short)
    found = decoder.decode([case.request for case in cases], plan_of(16, 2, 1))
    assert answers(found) == expected(cases)
    assert shortage.calls > max(failing)


def test_no_page_is_lost_wherever_memory_runs_out(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each call that allocates memory, in a run of its own."""
    shortage = Shortage([])

    def guard(owner: type, name: str) -> None:
        whole = getattr(owner, name)

        def short(self: object, *arguments: object) -> object:
            shortage()
            return whole(self, *arguments)

        monkeypatch.setattr(owner, name, short)

    for owner, name in (
        (Slots, "__init__"),
        (Slots, "move"),
        (Stepper, "prefill"),
        (Stepper, "step"),
    ):
        guard(owner, name)
    few = [case for case in cases if len(case.answer.ids) < 20][:6]

    def run() -> None:
        shortage.calls = 0
        found = decoder.decode([case.request for case in few], plan_of(4, lag=1, short=80))
        assert answers(found) == expected(few)

    run()
    for call in range(1, shortage.calls + 1):
        shortage.failing = {call}
        run()


def test_a_page_that_does_not_fit_alone_is_an_error(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After halving to a single slot."""
    shortage = Shortage(range(100))
    monkeypatch.setattr(Stepper, "prefill", lambda *arguments: shortage())
    with pytest.raises(OutOfMemory, match="does not fit the device's memory"):
        decoder.decode([cases[0].request], plan_of(8))
    assert shortage.calls == 5  # 8 + 3 slots, 4 + 2, 2 + 1, 1 + 1, 1


def test_a_real_loop_is_found_and_cut(talker: DeepSeekOcr) -> None:
    """By the default detector, with the no-repeat rule off, beside a page that ends."""
    free = NoRepeat(1)
    requests = [
        DecodeRequest(page_of_noise(talker, seed, 2), PROMPTS["free_ocr"], 800) for seed in (6, 3)
    ]
    theirs = [Reference(talker, free).decode([request])[0] for request in requests]
    ours = Decoder(talker.network, talker.tokenizer, talker.weights, free)
    found = ours.decode(requests, plan_of(2, lag=2))
    assert [a.reason for a in theirs] == ["loop", "eos"]
    kept = [answer.ids[: cycle_start(answer.ids)] for answer in theirs]
    assert answers(found) == list(zip(kept, ["loop", "eos"], strict=True))
    assert len(kept[0]) < len(theirs[0].ids)


def test_ids_cut_from_a_loop_are_counted(talker: DeepSeekOcr) -> None:
    """They were decoded like the rest. An answer without a loop is kept whole."""
    requests = [
        DecodeRequest(page_of_noise(talker, seed, 2), PROMPTS["free_ocr"], 800) for seed in (6, 3)
    ]
    ours = Decoder(talker.network, talker.tokenizer, talker.weights, NoRepeat(1))
    loop, ended = ours.decode(requests, plan_of(2))
    assert loop.finish_reason == "loop"
    assert len(loop.ids) < 512 < loop.written  # a cycle is found after 512 ids of it
    assert (ended.finish_reason, ended.written) == ("eos", len(ended.ids))


def test_no_list_is_turned_into_a_tensor_on_the_device(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each such call synchronizes with a GPU."""
    alone: list[str] = []

    class Watch(TorchFunctionMode):
        """Records tensors that are made from lists on a given device."""

        def __torch_function__(
            self,
            func: Callable[..., object],
            types: object,
            args: tuple[object, ...] = (),
            kwargs: dict[str, object] | None = None,
        ) -> object:
            """Call the function."""
            if func in (torch.tensor, torch.as_tensor) and "device" in (kwargs or {}):
                alone.append(func.__name__)
            return func(*args, **kwargs or {})

    with Watch():
        found = decoder.decode([case.request for case in cases], plan_of(4, guesses=2))
    assert answers(found) == expected(cases)
    assert alone == []
