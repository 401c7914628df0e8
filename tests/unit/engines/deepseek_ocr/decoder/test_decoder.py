"""Slots that are refilled, guesses, lag: whatever the order, every page is what it is alone."""

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


def test_the_cases_end_in_every_way(cases: list[Case]) -> None:
    """Otherwise the tests below would show little."""
    reasons = Counter(case.answer.reason for case in cases)
    lengths = [len(case.answer.ids) for case in cases]
    assert len(reasons) == 3, reasons
    assert max(lengths) > 8 * min(lengths)


@pytest.mark.parametrize(("guesses", "lag"), [(0, 0), (0, 3), (5, 0), (3, 2)])
@pytest.mark.parametrize("slots", [1, 2, 7, 16, 64])
def test_pages_in_slots_are_what_generate_makes_of_them_alone(
    decoder: Decoder, cases: list[Case], slots: int, guesses: int, lag: int
) -> None:
    """Every token and every reason, with and without guesses, whatever the host's lag."""
    found = decoder.decode([case.request for case in cases], plan_of(slots, guesses, lag))
    assert answers(found) == expected(cases)


@pytest.fixture(scope="module")
def reader() -> DeepSeekOcr:
    """The trained small model, exactly enough to compare."""
    return DeepSeekOcr(TINY_SYNTHETIC, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def cards(reader: DeepSeekOcr) -> list[Case]:
    """Cards, and what ``generate`` reads on each alone: longer answers, so fewer of them."""
    return read_cases(reader, PAGES // 4)


@pytest.mark.parametrize(("guesses", "lag"), [(0, 0), (7, 2)])
@pytest.mark.parametrize("slots", [1, 7, 64])
def test_cards_in_slots_are_read_as_generate_reads_them_alone(
    reader: DeepSeekOcr, cards: list[Case], slots: int, guesses: int, lag: int
) -> None:
    """Real text, with the text of the page as the draft."""
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
def test_the_order_of_arrival_changes_nothing(
    decoder: Decoder,
    cases: list[Case],
    order: list[int],
    slots: int,
    guesses: int,
    lag: int,
    short: int,
) -> None:
    """Pages that come one after the other, from a source that is asked as slots get free."""
    arriving = [cases[i] for i in order]
    plan = plan_of(slots, guesses, lag, short)
    found = dict(decoder.stream((case.request for case in arriving), plan))
    assert answers([found[i] for i in range(len(arriving))]) == expected(arriving)


@pytest.mark.parametrize(("slots", "most"), [(2, 1), (36, 3)])
def test_a_stream_is_asked_for_a_few_pages_between_two_steps(
    decoder: Decoder,
    cases: list[Case],
    monkeypatch: pytest.MonkeyPatch,
    slots: int,
    most: int,
) -> None:
    """Who draws them lets the others wait; and what comes late need not wait for long."""
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


def test_a_stream_is_asked_no_further_than_it_must(decoder: Decoder, cases: list[Case]) -> None:
    """Pages ahead are in memory."""
    asked = 0

    def source() -> Iterator[DecodeRequest]:
        nonlocal asked
        for case in cases:
            asked += 1
            yield case.request

    next(decoder.stream(source(), plan_of(2)))
    assert asked < len(cases)


def test_a_page_that_waits_is_looked_at_when_it_may_start(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long queue costs nothing while slots are taken."""
    looked, free = 0, Scheduler._find_free

    def counted(self: Scheduler, page: Page, above: int = -1) -> tuple[int, int] | None:
        nonlocal looked
        looked += above < 0
        return free(self, page, above)

    monkeypatch.setattr(Scheduler, "_find_free", counted)
    found = decoder.decode([case.request for case in cases], plan_of(3))
    assert answers(found) == expected(cases)
    assert looked == len(cases)


@pytest.mark.parametrize("guesses", [0, 3])
def test_slots_in_which_an_answer_ends_exactly_are_enough_and_shorter_ones_are_refused(
    decoder: Decoder, cases: list[Case], guesses: int
) -> None:
    """Nothing is ever written behind a slot's end: a GPU would not say so."""
    case = max(cases, key=lambda case: len(case.answer.ids))
    request = replace(case.request, max_tokens=len(case.answer.ids))
    length = decoder.prompt_length(request) + len(case.answer.ids) + guesses
    plan = DecodePlan((SlotClass(2, length),), guesses)
    assert decoder.decode([request], plan)[0].ids == case.answer.ids
    with pytest.raises(ConfigError, match=f"take {length} tokens, .* {length - 1}; use longer"):
        decoder.decode([request], replace(plan, classes=(SlotClass(2, length - 1),)))


@pytest.mark.parametrize("at", [0, 5, 23])
def test_a_request_that_is_refused_costs_no_other(
    decoder: Decoder, cases: list[Case], at: int
) -> None:
    """It comes back as an error with its number, from whatever place in a stream."""
    requests = [case.request for case in cases]
    others = replace(requests[0].tokens, weights="of another model")
    requests.insert(at, replace(requests[0], tokens=others))
    found = dict(decoder.stream(requests, plan_of(4, lag=1)))
    refused = found.pop(at)
    assert isinstance(refused, EngineError)
    assert answers([found[number] for number in sorted(found)]) == expected(cases)


def test_a_stream_of_refused_requests_ends(decoder: Decoder, cases: list[Case]) -> None:
    """With an error for each."""
    request = replace(cases[0].request, max_tokens=0)
    found = dict(decoder.stream([request, request], plan_of(4)))
    assert {number: type(error) for number, error in found.items()} == {
        0: ConfigError,
        1: ConfigError,
    }


def test_a_request_that_comes_late_need_not_wait_for_the_last_answer(
    decoder: Decoder, cases: list[Case]
) -> None:
    """A stream that had nothing for a while is asked again."""
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


def test_a_stream_that_has_nothing_ends_when_nothing_is_under_way(
    decoder: Decoder, cases: list[Case]
) -> None:
    """It would be asked for ever; and what was refused is not under way."""

    def source() -> Iterator[DecodeRequest | None]:
        yield replace(cases[0].request, max_tokens=0)
        while True:
            yield None

    ((number, error),) = decoder.stream(source(), plan_of(2))
    assert (number, type(error)) == (0, ConfigError)


def test_right_guesses_save_steps(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step for five ids where the draft is the answer; no guess where there is none."""
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
def test_a_rule_of_few_ids_guesses_like_any_other(
    talker: DeepSeekOcr, cases: list[Case], window: int
) -> None:
    """Three ids find the place in a draft, however few the rule looks at."""
    rule = NoRepeat(2, window)
    ours = Decoder(talker.network, talker.tokenizer, talker.weights, rule, chance_loop)
    requests = [replace(case.request, max_tokens=20) for case in cases[:6]]
    assert any(request.draft for request in requests)
    guessed = ours.decode(requests, plan_of(3, guesses=4))
    assert ours.tally.guessed
    assert answers(guessed) == answers(ours.decode(requests, plan_of(3)))


class Shortage:
    """A device that has too little memory at some calls."""

    def __init__(self, failing: Sequence[int]) -> None:
        self.calls = 0
        self.failing = set(failing)

    def __call__(self) -> None:
        """Fail, or not."""
        self.calls += 1
        if self.calls in self.failing:
            raise torch.OutOfMemoryError("CUDA out of memory (made up)")


@pytest.mark.parametrize("failing", [[1], [3, 4], [30], [2, 20, 40]])
def test_no_page_is_lost_when_memory_runs_out(
    decoder: Decoder,
    cases: list[Case],
    monkeypatch: pytest.MonkeyPatch,
    failing: list[int],
) -> None:
    """Fewer slots go on; what was under way starts again."""
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
    """Once at every place that takes memory, one run for each."""
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


def test_a_page_that_fits_nowhere_is_an_error(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After halving to a single slot."""
    shortage = Shortage(range(100))
    monkeypatch.setattr(Stepper, "prefill", lambda *arguments: shortage())
    with pytest.raises(OutOfMemory, match="does not fit the device's memory"):
        decoder.decode([cases[0].request], plan_of(8))
    assert shortage.calls == 5  # 8 + 3 slots, 4 + 2, 2 + 1, 1 + 1, 1


def test_a_real_loop_is_found_and_cut_as_before(talker: DeepSeekOcr) -> None:
    """By the default detector, in a network left to repeat itself, beside a page that ends."""
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


def test_what_a_loop_wrote_before_it_was_cut_is_counted(talker: DeepSeekOcr) -> None:
    """It was decoded like the rest; of an answer that ends, all is kept."""
    requests = [
        DecodeRequest(page_of_noise(talker, seed, 2), PROMPTS["free_ocr"], 800) for seed in (6, 3)
    ]
    ours = Decoder(talker.network, talker.tokenizer, talker.weights, NoRepeat(1))
    loop, ended = ours.decode(requests, plan_of(2))
    assert loop.finish_reason == "loop"
    assert len(loop.ids) < 512 < loop.written  # a cycle is found after 512 ids of it
    assert (ended.finish_reason, ended.written) == ("eos", len(ended.ids))


def test_no_number_goes_to_the_device_by_itself(
    decoder: Decoder, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU stops for each list that becomes a tensor on it."""
    alone: list[str] = []

    class Watch(TorchFunctionMode):
        """Notes tensors that are made of lists where the network is."""

        def __torch_function__(
            self,
            func: Callable[..., object],
            types: object,
            args: tuple[object, ...] = (),
            kwargs: dict[str, object] | None = None,
        ) -> object:
            """As without."""
            if func in (torch.tensor, torch.as_tensor) and "device" in (kwargs or {}):
                alone.append(func.__name__)
            return func(*args, **kwargs or {})

    with Watch():
        found = decoder.decode([case.request for case in cases], plan_of(4, guesses=2))
    assert answers(found) == expected(cases)
    assert alone == []
