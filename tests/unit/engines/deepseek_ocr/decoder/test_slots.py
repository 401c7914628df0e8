"""The parts of a step: greedy choice, guesses, slot plans and rows."""

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
    """The history that rows hold after these ids."""
    return torch.tensor([([-1] * window + ids)[-window:]])


@given(
    ids=IDS,
    guesses=st.lists(st.integers(0, VOCABULARY - 1), max_size=5),
    size=st.integers(1, 5),
    window=st.integers(0, 25),
    kept=st.integers(0, 4),
    allowed=st.sets(st.integers(0, VOCABULARY - 1), max_size=2),
)
def test_each_position_is_chosen_as_if_the_guesses_before_it_were_accepted(
    ids: list[int], guesses: list[int], size: int, window: int, kept: int, allowed: set[int]
) -> None:
    """As the rule in plain Python chooses, one position after the other."""
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


# Ids of <|ref|> text <|/ref|> <|det|> [[ 0 , 0 , 0 , 0 ]] <|/det|> and a newline.
MARKUP = [100, 90, 101, 102, 91, 0, 92, 0, 92, 0, 92, 0, 93, 103, 94]
TEMPLATE = BlockTemplate(torch.tensor(MARKUP), torch.tensor([0, 2, 3, 13]))


def row(draft: list[int], written: list[int], cursor: int = 0) -> Rows:
    """The row of a page that has written these ids."""
    rows = Rows.empty(1, 16, len(draft), CPU)
    rows.drafts[0] = torch.tensor(draft)
    rows.history[0] = tail(written, 16)[0]
    rows.cursors[0] = cursor
    return rows


def guessed(rows: Rows, count: int = 3) -> list[int]:
    """Guesses for the first row."""
    return propose(rows, count, TEMPLATE)[0][0].tolist()


def test_guesses_continue_after_the_last_ids_written() -> None:
    """There are none after the end of the draft."""
    draft = [10, 11, 12, 13, 14, 15]
    assert guessed(row(draft, [10, 11, 12])) == [13, 14, 15]
    assert guessed(row(draft, [13, 14])) == [15, -1, -1]


def test_a_match_of_three_ids_beats_a_match_of_two() -> None:
    """Two offsets match two ids; the one that matches a third wins."""
    draft = [1, 8, 9, 20, 2, 8, 9, 30]
    assert guessed(row(draft, [2, 8, 9]))[0] == 30
    assert guessed(row(draft, [1, 8, 9], cursor=7))[0] == 20


def test_of_equal_matches_the_next_one_ahead_wins() -> None:
    """Pages are read forwards, and headers come again."""
    draft = [5, 6, 7, 20, 0, 0, 5, 6, 7, 30, 0, 5, 6, 7, 40]
    assert guessed(row(draft, [5, 6, 7], cursor=5))[0] == 30
    assert guessed(row(draft, [5, 6, 7], cursor=12))[0] == 40


def test_after_a_box_guesses_continue_from_the_cursor() -> None:
    """The draft does not hold the box, so nothing matches."""
    draft = [1, 2, 3, 4, 5, 6, 7]
    assert guessed(row(draft, [2, 3, 103, 94], cursor=3)) == [4, 5, 6]


@pytest.mark.parametrize(
    ("written", "following"),
    [
        ([100], [90, 101, 102]),
        ([100, 55, 56, 101], [102, 91, 0]),  # a label of two ids instead of one
        ([102, 91, 17], [92, 0, 92]),
        ([102, 91, 17, 92, 3, 92, 4, 92, 5], [93, 103, 94]),
        ([93, 103], [94, -1, -1]),
    ],
)
def test_the_markup_of_a_block_is_guessed_from_the_template(
    written: list[int], following: list[int]
) -> None:
    """It is not in the draft, and the cursor does not move."""
    rows = row([17, 5, 7, 100], written, cursor=2)
    guesses, starts = propose(rows, 3, TEMPLATE)
    assert guesses.tolist() == [following]
    assert starts.tolist() == [-1]


def test_signs_of_several_tokens_give_no_anchor() -> None:
    """A vocabulary without them encodes them as bytes."""

    def encode(text: str) -> list[int]:
        return [999] if text == "<|det|>" else [*text.encode(), 999]

    template = BlockTemplate.of(encode, CPU)
    assert template.anchors.tolist() == [len(template.ids) - 1]


def test_a_match_of_one_id_counts_only_near_the_cursor() -> None:
    """There it skips a word that the page lacks; elsewhere it is chance."""
    near, far = [1, 2, 9, 3, 4, 5], [1, 2, 3, *range(20, 70), 9, 4]
    assert guessed(row(near, [2, 77, 3], cursor=2)) == [4, 5, -1]
    assert guessed(row(far, [2, 77, 9], cursor=2)) == [3, 20, 21]


@given(free=st.integers(0, 10**12), wanted=st.integers(1, 400), context=st.integers(64, 9000))
def test_the_plan_has_as_many_slots_as_fit(free: int, wanted: int, context: int) -> None:
    """At least one, and never more than wanted."""
    token, extra = 61_440, 12_000_000
    short, long = plan_slots(wanted, context, token, extra, free)
    assert 1 <= short.slots <= wanted
    assert long.length == context
    used = sum(c.slots * c.length for c in (short, long)) * token + short.slots * extra
    assert used <= free or short.slots == 1
    assert plan_slots(wanted, context, token, extra, None)[0].slots == wanted


@pytest.mark.parametrize("free", [10e9, 16e9, 30e9, 70e9, 130e9])
def test_a_plan_leaves_memory_for_cuda_graphs(free: float) -> None:
    """Their pool takes as much as a step, and the driver takes some for each graph."""
    token, step, driver = 61_440, 2 * 4 * 8 * 129_280, 28 * 2**20
    planned = plan_slots(256, 8199, token, step, int(free))
    cached = sum(size.slots * size.length for size in planned) * token
    both = 2 * sum(size.slots for size in planned) * step
    assert cached + both + graphs._MAX_GRAPHS * driver <= free


def test_halving_ends_with_one_slot_of_the_full_context() -> None:
    """It holds any page."""
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
def test_split_undoes_concat(sizes: list[int]) -> None:
    """Rows of one class and of two."""
    parts = [Rows.empty(size, 4, 5, CPU) for size in sizes]
    for number, part in enumerate(parts):
        part.ids.fill_(number + 1)
    again = Rows.concat(parts).split(sizes)
    assert [p.ids.tolist() for p in again] == [p.ids.tolist() for p in parts]


def test_a_row_is_copied_from_others() -> None:
    """All its fields, and no other row."""
    here, there = Rows.empty(3, 2, 4, CPU), Rows.empty(2, 2, 4, CPU)
    there.ids[1], there.active[1], there.drafts[1, 0] = 7, True, 9
    here.copy_row(2, there, 1)
    assert here.ids.tolist() == [0, 0, 7]
    assert here.active.tolist() == [False, False, True]
    assert here.drafts[:, 0].tolist() == [-1, -1, 9]


def test_new_pages_are_uploaded_in_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy for each number would synchronize with the device each time."""
    sent: list[torch.Tensor] = []
    monkeypatch.setattr(slots, "upload", lambda host, device: sent.append(host) or host)
    pages = [NewPage(4, 10, 100, (5, 6, 7)), NewPage(0, 12, 50, ()), NewPage(9, 8, 70, range(20))]

    indices, rows = upload_rows(pages, 3, 5, CPU)

    assert len(sent) == 1
    assert indices.tolist() == [4, 0, 9]
    assert rows.lengths.tolist() == [9, 11, 7]
    assert rows.budgets.tolist() == [100, 50, 70]
    assert rows.active.tolist() == [True, True, True]
    assert rows.history.tolist() == [[-1] * 3] * 3
    assert rows.drafts.tolist() == [[5, 6, 7, -1, -1], [-1] * 5, [0, 1, 2, 3, 4]]


def test_pages_without_drafts_have_an_empty_draft() -> None:
    """The copy has no columns for drafts then."""
    _, rows = upload_rows([NewPage(1, 10, 100, ())], 3, 5, CPU)
    assert rows.drafts.tolist() == [[-1] * 5]


def test_uploads_use_pinned_memory_and_do_not_block() -> None:
    """Other copies synchronize host and device."""
    calls: list[object] = []

    class Pinned:
        """Records where it is copied to."""

        def to(self, device: torch.device, *, non_blocking: bool) -> str:
            """Record the call."""
            calls.append((device.type, non_blocking))
            return "there"

    class Host:
        """Pageable memory."""

        def pin_memory(self) -> Pinned:
            """A pinned copy."""
            return Pinned()

    assert upload(Host(), torch.device("cuda")) == "there"  # type: ignore[arg-type,comparison-overlap]
    assert calls == [("cuda", True)]
