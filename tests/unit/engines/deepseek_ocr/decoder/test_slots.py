"""The parts of decoding in slots: what is chosen, what is guessed, how much fits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.decoding.one_by_one import banned_in_window
from opticalrag.ingest.engines.deepseek_ocr.decoder import graphs, slots
from opticalrag.ingest.engines.deepseek_ocr.decoder.drafting import BlockTemplate, propose
from opticalrag.ingest.engines.deepseek_ocr.decoder.greedy import Greedy
from opticalrag.ingest.engines.deepseek_ocr.decoder.ngram import NoRepeat
from opticalrag.ingest.engines.deepseek_ocr.decoder.plan import DecodePlan, SlotClass, plan_slots
from opticalrag.ingest.engines.deepseek_ocr.decoder.slots import NewPage, Rows, upload_rows
from opticalrag.ingest.engines.deepseek_ocr.device.transfer import upload

VOCABULARY = 6
IDS = st.lists(st.integers(0, VOCABULARY - 1), max_size=40)
CPU = torch.device("cpu")


def tail(ids: list[int], window: int) -> torch.Tensor:
    """History as slots keep it."""
    return torch.tensor([([-1] * window + ids)[-window:]])


@given(
    ids=IDS,
    guesses=st.lists(st.integers(0, VOCABULARY - 1), max_size=5),
    size=st.integers(1, 5),
    window=st.integers(0, 25),
    kept=st.integers(0, 4),
    allowed=st.sets(st.integers(0, VOCABULARY - 1), max_size=2),
)
def test_every_position_is_chosen_as_if_the_guesses_before_it_were_written(
    ids: list[int], guesses: list[int], size: int, window: int, kept: int, allowed: set[int]
) -> None:
    """By the rule in plain Python, for one position after the other."""
    generator = torch.Generator().manual_seed(len(ids))
    scores = torch.randn(1, 1 + len(guesses), VOCABULARY, generator=generator)
    expected = []
    for position in range(1 + len(guesses)):
        banned = banned_in_window([*ids, *guesses[:position]], size, window, allowed)
        free = [i for i in range(VOCABULARY) if i not in banned]
        expected.append(max(free or [0], key=lambda i: scores[0, position, i]))

    chosen = Greedy(NoRepeat(size, window), tuple(allowed)).choose(
        scores.clone(),
        tail(ids, window + kept),
        torch.tensor([guesses]).long(),
        torch.tensor([len(ids)]),
    )

    assert chosen.tolist() == [expected]


# How a block begins, an id for each: 100 text 101 102 [[ 0 , 0 , 0 , 0 ]] 103 and a line's end.
BEGINNING = [100, 90, 101, 102, 91, 0, 92, 0, 92, 0, 92, 0, 93, 103, 94]
TEMPLATE = BlockTemplate(torch.tensor(BEGINNING), torch.tensor([0, 2, 3, 13]))


def row(draft: list[int], written: list[int], cursor: int = 0) -> Rows:
    """One page that has written something."""
    rows = Rows.empty(1, 16, len(draft), CPU)
    rows.drafts[0] = torch.tensor(draft)
    rows.history[0] = tail(written, 16)[0]
    rows.cursors[0] = cursor
    return rows


def guessed(rows: Rows, count: int = 3) -> list[int]:
    """Guesses of its first page."""
    return propose(rows, count, TEMPLATE)[0][0].tolist()


def test_guesses_go_on_behind_what_was_written() -> None:
    """Found by the last ids; nothing behind the end."""
    draft = [10, 11, 12, 13, 14, 15]
    assert guessed(row(draft, [10, 11, 12])) == [13, 14, 15]
    assert guessed(row(draft, [13, 14])) == [15, -1, -1]


def test_three_ids_tell_more_than_two() -> None:
    """Of two places with the same two ids that with the third one is taken."""
    draft = [1, 8, 9, 20, 2, 8, 9, 30]
    assert guessed(row(draft, [2, 8, 9]))[0] == 30
    assert guessed(row(draft, [1, 8, 9], cursor=7))[0] == 20


def test_of_equal_places_the_next_one_ahead_is_taken() -> None:
    """Pages are read on; a header comes again on the way."""
    draft = [5, 6, 7, 20, 0, 0, 5, 6, 7, 30, 0, 5, 6, 7, 40]
    assert guessed(row(draft, [5, 6, 7], cursor=5))[0] == 30
    assert guessed(row(draft, [5, 6, 7], cursor=12))[0] == 40


def test_behind_a_box_guesses_go_on_where_the_draft_was_left() -> None:
    """The box is not in the draft, so that nothing matches."""
    draft = [1, 2, 3, 4, 5, 6, 7]
    assert guessed(row(draft, [2, 3, 103, 94], cursor=3)) == [4, 5, 6]


@pytest.mark.parametrize(
    ("written", "following"),
    [
        ([100], [90, 101, 102]),
        ([100, 55, 56, 101], [102, 91, 0]),  # a kind of more ids than the one guessed
        ([102, 91, 17], [92, 0, 92]),
        ([102, 91, 17, 92, 3, 92, 4, 92, 5], [93, 103, 94]),
        ([93, 103], [94, -1, -1]),
    ],
)
def test_the_marks_of_a_block_are_guessed_from_their_grammar(
    written: list[int], following: list[int]
) -> None:
    """They are not in the draft, whose place is kept; each of their ids took a step."""
    rows = row([17, 5, 7, 100], written, cursor=2)
    guesses, starts = propose(rows, 3, TEMPLATE)
    assert guesses.tolist() == [following]
    assert starts.tolist() == [-1]


def test_signs_that_a_vocabulary_has_not_are_never_found() -> None:
    """They are encoded as bytes, and give no anchor."""

    def encode(text: str) -> list[int]:
        return [999] if text == "<|det|>" else [*text.encode(), 999]

    template = BlockTemplate.of(encode, CPU)
    assert template.anchors.tolist() == [len(template.ids) - 1]


def test_a_single_id_counts_near_the_place_only() -> None:
    """A word too many is passed over; far away the same id means nothing."""
    near, far = [1, 2, 9, 3, 4, 5], [1, 2, 3, *range(20, 70), 9, 4]
    assert guessed(row(near, [2, 77, 3], cursor=2)) == [4, 5, -1]
    assert guessed(row(far, [2, 77, 9], cursor=2)) == [3, 20, 21]


@given(free=st.integers(0, 10**12), wanted=st.integers(1, 400), context=st.integers(64, 9000))
def test_as_many_slots_as_fit(free: int, wanted: int, context: int) -> None:
    """Never more than wanted or than there is memory for, if there is for any."""
    token, extra = 61_440, 12_000_000
    short, long = plan_slots(wanted, context, token, extra, free)
    assert 1 <= short.slots <= wanted
    assert long.length == context
    used = sum(c.slots * c.length for c in (short, long)) * token + short.slots * extra
    assert used <= free or short.slots == 1
    assert plan_slots(wanted, context, token, extra, None)[0].slots == wanted


@pytest.mark.parametrize("free", [10e9, 16e9, 30e9, 70e9, 130e9])
def test_a_plan_leaves_room_for_recorded_steps(free: float) -> None:
    """They compute in memory of their own: what a step takes, and the driver's part of each."""
    token, step, driver = 61_440, 2 * 4 * 8 * 129_280, 28 * 2**20
    planned = plan_slots(256, 8199, token, step, int(free))
    cached = sum(size.slots * size.length for size in planned) * token
    both = 2 * sum(size.slots for size in planned) * step
    assert cached + both + graphs._MAX_GRAPHS * driver <= free


def test_halving_ends_with_one_slot_of_the_whole_context() -> None:
    """Which holds any page."""
    plan: DecodePlan | None = DecodePlan((SlotClass(5, 64), SlotClass(2, 256)))
    seen = []
    while plan:
        seen.append([(c.slots, c.length) for c in plan.classes])
        plan = plan.halved()
    assert seen == [
        [(5, 64), (2, 256)],
        [(3, 64), (1, 256)],
        [(2, 64), (1, 256)],
        [(1, 64), (1, 256)],
        [(1, 256)],
    ]


@pytest.mark.parametrize("sizes", [[2], [1, 1]])
def test_rows_of_classes_are_joined_and_split_again(sizes: list[int]) -> None:
    """Nothing changes on the way."""
    parts = [Rows.empty(size, 4, 5, CPU) for size in sizes]
    for number, part in enumerate(parts):
        part.ids.fill_(number + 1)
    again = Rows.concat(parts).split(sizes)
    assert [p.ids.tolist() for p in again] == [p.ids.tolist() for p in parts]


def test_a_row_is_taken_from_others() -> None:
    """All of it, and none besides."""
    here, there = Rows.empty(3, 2, 4, CPU), Rows.empty(2, 2, 4, CPU)
    there.ids[1], there.active[1], there.drafts[1, 0] = 7, True, 9
    here.copy_row(2, there, 1)
    assert here.ids.tolist() == [0, 0, 7]
    assert here.active.tolist() == [False, False, True]
    assert here.drafts[:, 0].tolist() == [-1, -1, 9]


def test_pages_that_start_go_to_the_device_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device waited for each number of each page."""
    sent: list[torch.Tensor] = []
    monkeypatch.setattr(slots, "upload", lambda host, device: sent.append(host) or host)
    pages = [NewPage(4, 10, 100, (5, 6, 7)), NewPage(0, 12, 50, ()), NewPage(9, 8, 70, range(20))]

    places, rows = upload_rows(pages, 3, 5, CPU)

    assert len(sent) == 1
    assert places.tolist() == [4, 0, 9]
    assert rows.lengths.tolist() == [9, 11, 7]
    assert rows.budgets.tolist() == [100, 50, 70]
    assert rows.active.tolist() == [True, True, True]
    assert rows.history.tolist() == [[-1] * 3] * 3
    assert rows.drafts.tolist() == [[5, 6, 7, -1, -1], [-1] * 5, [0, 1, 2, 3, 4]]


def test_pages_without_drafts_start_with_none() -> None:
    """There is nothing to copy then."""
    _, rows = upload_rows([NewPage(1, 10, 100, ())], 3, 5, CPU)
    assert rows.drafts.tolist() == [[-1] * 5]


def test_a_gpu_is_sent_pinned_memory_and_not_waited_for() -> None:
    """Else the copy would stop it until it is done."""
    calls: list[object] = []

    class Pinned:
        """Takes note of where it is sent."""

        def to(self, device: torch.device, *, non_blocking: bool) -> str:
            """Say how."""
            calls.append((device.type, non_blocking))
            return "there"

    class Host:
        """Memory that the system may move."""

        def pin_memory(self) -> Pinned:
            """A copy that it may not."""
            return Pinned()

    assert upload(Host(), torch.device("cuda")) == "there"  # type: ignore[arg-type,comparison-overlap]
    assert calls == [("cuda", True)]
