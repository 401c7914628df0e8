"""Every engine finds the same, correct points."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from qdrant_client import models

from opticalrag.ingest.core.schema import DENSE, SPARSE
from opticalrag.ingest.store.store import QdrantStore

from .stores import (
    COUNT,
    SPARSE_QUESTION,
    by_cosine,
    by_terms,
    fields,
    has,
    make_points,
    numbers,
    point_id,
    question,
    sparse_question,
    stages,
)

Match, Condition = models.MatchValue, models.FieldCondition


# -- reading -----------------------------------------------------------------------------------


def test_more_points_than_a_request_returns_are_all_listed_once(store: QdrantStore) -> None:
    """Scrolling continues to the end."""
    store.upsert(make_points(2300))

    assert store.count() == 2300
    assert len({record.id for record in store.scroll(None, fields=())}) == 2300
    assert sum(d.points for d in store.documents()) == 2300


def test_unknown_documents_and_ids_are_not_found(asked: QdrantStore) -> None:
    """The results are empty; nothing is an error."""
    assert asked.existing_ids("nobody") == set()
    assert asked.stored_ids([]) == set()
    assert not asked.is_complete("nobody", "f")


def by_date(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=timezone.utc)


FILTERS: dict[str, tuple[models.Filter, Callable[[dict[str, Any]], bool]]] = {
    "value": (has("kind", match=Match(value="table")), lambda f: f["kind"] == "table"),
    "element": (has("pages", match=Match(value=7)), lambda f: 7 in f["pages"]),
    "any": (
        has("kind", match=models.MatchAny(any=["table", "list"])),
        lambda f: f["kind"] in ("table", "list"),
    ),
    "any number": (
        has("pages", match=models.MatchAny(any=[3, 20])),
        lambda f: bool({3, 20} & set(f["pages"])),
    ),
    "except": (
        has("kind", match=models.MatchExcept(**{"except": ["text"]})),
        lambda f: f["kind"] != "text",
    ),
    "text": (has("text", match=models.MatchText(text="of 17")), lambda f: f["number"] == 17),
    "range": (
        has("pages", range=models.Range(gte=10, lt=12)),
        lambda f: any(10 <= page < 12 for page in f["pages"]),
    ),
    "dates": (
        has("ingested_at", range=models.DatetimeRange(gt=by_date(2026, 1, 20))),
        lambda f: f["number"] % 28 > 19,
    ),
    "empty": (
        models.Filter(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="flags"))]),
        lambda f: "flags" not in f,
    ),
    "null": (
        models.Filter(must=[models.IsNullCondition(is_null=models.PayloadField(key="language"))]),
        lambda f: f.get("language", "") is None,
    ),
    "ids": (
        models.Filter(must=[models.HasIdCondition(has_id=[point_id(4), point_id(5)])]),
        lambda f: f["number"] in (4, 5),
    ),
    "not": (
        models.Filter(must_not=[Condition(key="flags", match=Match(value="ocr"))]),
        lambda f: "flags" not in f,
    ),
    "at least": (
        models.Filter(
            min_should=models.MinShould(
                conditions=[
                    Condition(key="kind", match=Match(value="text")),
                    Condition(key="flags", match=Match(value="ocr")),
                    Condition(key="pages", range=models.Range(lte=30)),
                ],
                min_count=2,
            )
        ),
        lambda f: (f["kind"] == "text") + ("flags" in f) + (f["pages"][0] <= 30) >= 2,
    ),
    "nested": (
        models.Filter(
            should=[
                models.Filter(
                    must=[Condition(key="kind", match=Match(value="list"))],
                    must_not=[Condition(key="pages", range=models.Range(gt=9))],
                ),
                Condition(key="file_name", match=Match(value="5.pdf")),
            ]
        ),
        lambda f: (f["kind"] == "list" and f["pages"][1] <= 9) or f["file_name"] == "5.pdf",
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_match_the_right_points(asked: QdrantStore, name: str) -> None:
    """Counting and listing agree with the same filter in Python."""
    where, expected = FILTERS[name]
    wanted = {n for n in range(COUNT) if expected(fields(n))}

    assert wanted
    assert numbers(asked, where) == wanted
    assert asked.count(where) == len(wanted)


def test_filters_tell_booleans_from_numbers(store: QdrantStore) -> None:
    """True is not 1, which the embedded engine's binding confuses."""
    points = make_points(2)
    points[0].payload["yes"], points[1].payload["yes"] = True, False
    store.upsert(points)

    assert numbers(store, has("yes", match=Match(value=True))) == {0}
    assert numbers(store, has("yes", match=Match(value=False))) == {1}


# -- queries -----------------------------------------------------------------------------------


def test_dense_queries_find_the_nearest_points(asked: QdrantStore) -> None:
    """The points and their order equal those of a full comparison."""
    found = asked.query(question(1).tolist(), using=DENSE, limit=10)

    assert [p.id for p in found] == by_cosine(make_points(COUNT), question(1))[:10]
    assert found[0].score == pytest.approx(
        float(max(p.dense @ question(1) for p in make_points(COUNT))), abs=1e-5
    )


def test_sparse_queries_weigh_rare_terms_more(asked: QdrantStore) -> None:
    """Scores include the collection's IDF; points without a term are not found."""
    wanted = by_terms(make_points(COUNT), SPARSE_QUESTION)
    found = asked.query(sparse_question(), using=SPARSE, limit=COUNT)

    assert {str(p.id): p.score for p in found} == pytest.approx(wanted, rel=1e-4)
    assert [p.score for p in found] == sorted(wanted.values(), reverse=True) or len(found) > 9


def test_hybrid_queries_fuse_both_rankings(asked: QdrantStore) -> None:
    """The reciprocal ranks in both lists are added; k is 2 and ranks start at 0."""
    limit = 20
    dense = asked.query(question(2).tolist(), using=DENSE, limit=limit)
    sparse = asked.query(sparse_question(), using=SPARSE, limit=limit)
    wanted: dict[str, float] = {}
    for ranking in (dense, sparse):
        for rank, one in enumerate(ranking):
            wanted[str(one.id)] = wanted.get(str(one.id), 0.0) + 1 / (2 + rank)
    found = asked.query(
        models.FusionQuery(fusion=models.Fusion.RRF), prefetch=stages(limit), limit=5
    )

    best = sorted(wanted.values(), reverse=True)[:5]
    assert [p.score for p in found] == pytest.approx(best, rel=1e-4)


def test_fusions_take_weights(asked: QdrantStore) -> None:
    """With weight 0 for one list, the order is the other's."""
    weighed = models.RrfQuery(rrf=models.Rrf(k=60, weights=[1.0, 0.0]))
    found = asked.query(weighed, prefetch=stages(10), limit=3)

    assert [p.id for p in found] == by_cosine(make_points(COUNT), question(2))[:3]


def test_fusion_by_score_distribution_finds_points(asked: QdrantStore) -> None:
    """Distribution-based score fusion (DBSF) is the other fusion of Qdrant."""
    dbsf = models.FusionQuery(fusion=models.Fusion.DBSF)

    assert len(asked.query(dbsf, prefetch=stages(10), limit=5)) == 5


def test_formulas_add_the_scores_of_candidates_that_each_vector_scored(asked: QdrantStore) -> None:
    """Both vectors score what either has found; a point without a term scores 0 for its words."""
    limit = 10
    both = [
        stage.model_copy(update={"prefetch": stages(limit), "limit": 2 * limit})
        for stage in stages(limit)
    ]
    formula = models.FormulaQuery(
        formula=models.SumExpression(
            sum=["$score[0]", models.MultExpression(mult=[0.1, "$score[1]"])]
        ),
        defaults={"$score[0]": 0.0, "$score[1]": 0.0},
    )
    points = make_points(COUNT)
    words = by_terms(points, SPARSE_QUESTION)
    wanted = {p.id: float(p.dense @ question(2)) + 0.1 * words.get(p.id, 0.0) for p in points}
    found = asked.query(formula, prefetch=both, limit=2 * limit)

    assert limit < len(found) <= 2 * limit
    assert {str(p.id) for p in found} >= set(by_cosine(points, question(2))[:limit])
    for one in found:
        assert one.score == pytest.approx(wanted[str(one.id)], abs=1e-4)


def test_filters_hold_in_every_stage(asked: QdrantStore) -> None:
    """Filters of the stages and of the query exclude all other points."""
    tables, _ = FILTERS["value"]
    filtered = [stage.model_copy(update={"filter": tables}) for stage in stages(20)]
    fusion = models.FusionQuery(fusion=models.Fusion.RRF)
    hybrid = asked.query(fusion, prefetch=filtered, limit=9)
    dense = asked.query(question(1).tolist(), using=DENSE, where=tables, limit=9)

    for found in (hybrid, dense):
        assert len(found) == 9
        assert {p.payload["kind"] for p in found} == {"table"}  # type: ignore[index]


def test_mmr_chooses_among_the_nearest_points(asked: QdrantStore) -> None:
    """With all weight on relevance, MMR keeps the order; the best point always comes first."""
    nearest = by_cosine(make_points(COUNT), question(3))
    plain, diverse = (
        asked.query(
            models.NearestQuery(
                nearest=question(3).tolist(), mmr=models.Mmr(diversity=d, candidates_limit=30)
            ),
            using=DENSE,
            limit=5,
        )
        for d in (0.0, 0.9)
    )

    assert [p.id for p in plain] == nearest[:5]
    assert diverse[0].id == nearest[0]
    assert [p.id for p in diverse] != nearest[:5]
    assert {p.id for p in diverse} <= set(nearest[:30])


def test_payload_fields_vectors_and_a_score_threshold_are_respected(asked: QdrantStore) -> None:
    """Only the requested fields and vectors come back, of points above the threshold."""
    how: dict[str, Any] = {"using": DENSE, "limit": 50}
    (first, *_) = asked.query(
        question(1).tolist(), with_payload=["kind"], with_vectors=[SPARSE], **how
    )
    assert first.payload.keys() == {"kind"}  # type: ignore[union-attr]
    assert first.vector.keys() == {SPARSE}  # type: ignore[union-attr]
    (bare, *_) = asked.query(question(1).tolist(), with_payload=False, **how)
    assert (bare.payload, bare.vector) in ((None, None), ({}, None))
    close = asked.query(question(1).tolist(), score_threshold=0.3, **how)
    assert 0 < len(close) < 50
    assert all(p.score >= 0.3 for p in close)
