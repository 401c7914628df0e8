"""Batches of bounded size, and retries of transient errors."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from opticalrag.ingest.store.faults import is_transient, retried
from opticalrag.ingest.store.requests import batched, point_bytes, stored_payload
from opticalrag.ingest.system.retry import Retry

from ...contract.stores import make_points


@given(st.lists(st.integers(0, 50)), st.integers(1, 7), st.integers(1, 60))
def test_batches_contain_every_item_in_order_within_the_limits(
    sizes: list[int], most: int, most_bytes: int
) -> None:
    """An item that is larger than the limit gets a batch of its own."""
    made = list(batched(((n, size) for n, size in enumerate(sizes)), most, most_bytes))

    assert [n for batch in made for n in batch] == list(range(len(sizes)))
    for batch in made:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or sum(sizes[n] for n in batch) <= most_bytes


def test_a_points_size_counts_vectors_and_text() -> None:
    """The estimate is close: too low an estimate would exceed the server's limit."""
    (small,), (large,) = make_points(1), make_points(1, text="é" * 10_000)

    assert 200 < point_bytes(small) < 2000
    assert point_bytes(large) > 20_000


def test_payloads_carry_the_tenant() -> None:
    """The store's tenant overrides the payload's."""
    assert stored_payload({"tenant": "b", "x": 1}, "a") == {"tenant": "a", "x": 1}
    assert stored_payload({"tenant": "b"}, None) == {"tenant": "b"}


def fault(code: int) -> UnexpectedResponse:
    return UnexpectedResponse(code, "", b"", httpx.Headers())


def test_only_transient_errors_are_retried() -> None:
    """No answer and server errors are transient; bad requests and bad answers are not."""
    transient = [fault(429), fault(503), ResponseHandlingException(httpx.ReadTimeout("slow"))]
    lasting = [fault(400), fault(404), ResponseHandlingException(ValueError("nonsense"))]

    assert all(is_transient(one) for one in transient)
    assert not any(is_transient(one) for one in [*lasting, KeyError("x")])


def test_waits_double_and_end_in_time() -> None:
    """The waits add up to the time allowed, and then the last error is raised."""
    now = 0.0
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    def fail() -> None:
        raise fault(503)

    with pytest.raises(UnexpectedResponse):
        retried(fail, Retry(total=60, first=1, longest=8), lambda: now, sleep)

    assert 50 < sum(waits) <= 60
    assert all(wait <= 8 for wait in waits)
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 2 <= waits[2] <= 4


def test_the_first_answer_is_returned() -> None:
    """Errors before it are forgotten."""
    answers: Iterator[object] = iter([fault(500), fault(500), "done"])

    def call() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retried(call, Retry(), lambda: 0.0, lambda seconds: None) == "done"
