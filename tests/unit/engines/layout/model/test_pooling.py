"""Boxes are described as the vendor describes them."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymupdf.layout import roi_pooling

from opticalrag.ingest.engines.layout.model.pooling import pool
from opticalrag.ingest.engines.layout.model.vision import LaterMap, Map, describe_labels

FEATURES: Final = ("mean", "max")
LABELS: Final = ("mean", "min", "max", "entropy", "margin")
SIZE: Final = (120, 90)  # of the page, in pixels

boxes = st.lists(
    st.tuples(st.floats(-5, 80), st.floats(-5, 110), st.floats(0, 60), st.floats(0, 60)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    min_size=1,
    max_size=12,
)


def later(values: Map) -> LaterMap:
    maps: Future[tuple[Map, Map]] = Future()
    maps.set_result((values, values))
    return LaterMap(maps, 0)


def random_map(channels: int, seed: int) -> Map:
    rng = np.random.default_rng(seed)
    return rng.normal(scale=3, size=(channels, 30, 30)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(boxes, st.integers(0, 99))
def test_features_are_the_vendors(found: list[tuple[float, ...]], seed: int) -> None:
    """The rows hold means and maxima, in the vendor's order."""
    values = random_map(7, seed)
    ours = pool(later(values), found, *SIZE, pooling_ops=FEATURES)
    theirs = pool(values[None], found, *SIZE, pooling_ops=FEATURES)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(boxes, st.integers(0, 99))
def test_labels_are_the_vendors(found: list[tuple[float, ...]], seed: int) -> None:
    """Their probabilities, entropy and lead follow from the scores of the whole page."""
    scores = random_map(5, seed)
    options = {"pooling_ops": LABELS, "apply_softmax": True}
    ours = pool(later(describe_labels(scores)), found, *SIZE, **options)
    theirs = roi_pooling.extract_bbox_features_by_roi_pooling(scores[None], found, *SIZE, **options)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("labels", [2, 12])
def test_a_sure_label_has_no_entropy_and_all_the_lead(labels: int) -> None:
    """A probability of 0 does not make the entropy infinite."""
    scores = np.full((labels, 3, 3), -200, np.float32)
    scores[1] = 200
    described = describe_labels(scores)
    np.testing.assert_allclose(described[-2], 0, atol=1e-6)
    np.testing.assert_allclose(described[-1], 1)
