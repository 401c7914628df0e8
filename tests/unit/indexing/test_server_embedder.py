"""Embeddings over OpenAI's interface, from a server that fails in every way."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.errors import (
    BadAnswer,
    ConfigError,
    EngineError,
    EngineUnavailable,
    SchemaMismatch,
)
from opticalrag.ingest.core.servers import EmbeddingServerConfig
from opticalrag.ingest.indexing.embedding_client import read_embeddings
from opticalrag.ingest.indexing.prefixes import Prefixes, prefixes_of
from opticalrag.ingest.indexing.server_embedder import ServerEmbedder
from opticalrag.ingest.indexing.sparse import Bm25Encoder
from opticalrag.ingest.store.store import QdrantStore

from .embedding_server import FakeServer, answer, send, serving
from .word_vectors import DIMENSION, word_vector

KEY = "sk-a-secret-that-nobody-may-see"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        yield fake


def embedder(fake: FakeServer, slept: list[float] | None = None, **options: Any) -> ServerEmbedder:
    """An embedder that does not wait between requests."""
    values = {"model": "words", "timeout": 5.0, "wait": 1000.0, **options}
    waits = [] if slept is None else slept
    return ServerEmbedder(EmbeddingServerConfig(fake.url, api_key=KEY, **values), waits.append)


def test_texts_are_embedded_in_batches_and_in_order(server: FakeServer) -> None:
    """Vectors are of unit length, whatever order the server sends them in."""
    texts = [f"pump {n}" for n in range(5)]
    found = embedder(server, batch=2).embed_documents(texts)

    assert [len(body["input"]) for body in server.asked] == [2, 2, 1]
    assert {body["model"] for body in server.asked} == {"words"}
    assert set(server.keys) == {f"Bearer {KEY}"}
    wanted = np.array([word_vector(text) for text in texts])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert found.dtype == np.float32


def test_name_dimension_and_no_texts(server: FakeServer) -> None:
    """A word is embedded to learn the dimension, once; no texts need no request then."""
    made = embedder(server)

    assert (made.name, made.dimension, made.dimension) == ("words", DIMENSION, DIMENSION)
    assert made.embed_documents([]).shape == (0, DIMENSION)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again(server: FakeServer, status: int) -> None:
    """After waits that grow."""
    slept: list[float] = []
    server.will(*[send(b"busy", status)] * 3, answer())
    embedder(server, slept).embed_query("pump")

    assert len(server.asked) == 4
    assert 0.1 <= slept[0] <= 0.25
    assert 0.5 <= slept[2] <= 1.0


def test_the_server_says_how_long_to_wait(server: FakeServer) -> None:
    """Up to a minute; what is not a number of seconds is ignored."""
    slept: list[float] = []
    waits = ["7", "86400", "Fri, 31 Dec 1999 23:59:59 GMT", "-1", "²"]
    server.will(*[send(b"", 429, Retry_After=wait) for wait in waits[:4]], answer())
    embedder(server, slept).embed_query("pump")

    assert slept[:2] == [7.0, 60.0]
    assert max(slept[2:]) <= 2.0


def test_a_server_that_stays_away_is_an_error(server: FakeServer) -> None:
    """After the configured time. Then each request is tried once, until the server is back."""
    made = embedder(server, wait=0.0)
    server.will(send(b"busy", 503))
    for tries in (1, 2):
        with pytest.raises(EngineUnavailable, match="503 'busy'"):
            made.embed_query("pump")
        assert len(server.asked) == tries
    server.will(answer())
    assert made.embed_query("pump").shape == (DIMENSION,)


def test_nobody_listens() -> None:
    """The message says what to do."""
    config = EmbeddingServerConfig("http://127.0.0.1:9", "words", wait=0)
    with pytest.raises(EngineUnavailable, match="start the server"):
        ServerEmbedder(config).embed_query("pump")


def stall(handler: BaseHTTPRequestHandler, _: list[str]) -> None:
    """Answer too late."""
    time.sleep(1.0)


def drip(handler: BaseHTTPRequestHandler, _: list[str]) -> None:
    """Send an endless answer, byte by byte."""
    handler.send_response(200)
    handler.end_headers()
    for _n in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


@pytest.mark.parametrize("step", [stall, drip])
def test_a_slow_server_is_given_up(server: FakeServer, step: Any) -> None:
    """Also one that sends a byte now and then."""
    server.will(step)
    started = time.monotonic()
    with pytest.raises(EngineUnavailable):
        embedder(server, timeout=0.2, wait=0.0).embed_query("pump")
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries[1:], "2 embeddings for 3 texts"),
        (lambda entries: entries + entries[:1], "4 embeddings for 3 texts"),
        (lambda entries: [{**one, "index": 0} for one in entries], "wrong indices"),
        (lambda entries: [{**one, "index": "a"} for one in entries], "wrong indices"),
        (lambda entries: [{**one, "index": []} for one in entries], "invalid answer"),
        (lambda entries: [one["embedding"] for one in entries], "invalid answer"),
        (lambda entries: None, "invalid answer"),
        (lambda entries: [{**one, "embedding": "AAAA"} for one in entries], "not lists of finite"),
        (lambda entries: [{**one, "embedding": []} for one in entries], "not lists of finite"),
        (lambda entries: [{**one, "embedding": [None]} for one in entries], "not lists of finite"),
        (lambda entries: [{**one, "embedding": [1e200]} for one in entries], "not lists of fin"),
        (lambda entries: [{**one, "embedding": [10**400]} for one in entries], "not lists of fin"),
        (
            lambda entries: [{**one, "embedding": [1] * (9 + n)} for n, one in enumerate(entries)],
            "not lists of finite",
        ),
    ],
)
def test_a_wrong_answer_is_refused(server: FakeServer, change: Any, message: str) -> None:
    """Wrong counts, indices, numbers and lengths; such answers are not asked for again."""
    server.will(answer(change))
    with pytest.raises(BadAnswer, match=message):
        embedder(server).embed_documents(["a", "b", "c"])
    assert len(server.asked) == 1


def test_another_dimension_than_before_is_refused(server: FakeServer) -> None:
    """The server has loaded another model."""
    made = embedder(server)
    assert made.dimension == DIMENSION
    server.will(answer(lambda entries: [{**one, "embedding": [1.0, 2.0]} for one in entries]))
    with pytest.raises(BadAnswer, match="vectors of 2 numbers, but of 64 before"):
        made.embed_documents(["pump"])


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"{}", b'{"data": 1}', b"\xff"])
def test_an_answer_that_is_not_json_is_refused(server: FakeServer, data: bytes) -> None:
    """Whatever it is."""
    server.will(send(data))
    with pytest.raises(BadAnswer, match="invalid answer"):
        embedder(server).embed_query("pump")


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """They are an error, because an answer for one text has a form."""
    with pytest.raises(BadAnswer):
        read_embeddings(data, 1)


def test_a_large_or_compressed_answer_is_refused(server: FakeServer) -> None:
    """A small answer could decompress to any size."""
    server.will(send(b"x" * (1024**2 + 1)))
    with pytest.raises(BadAnswer, match="longer than 1,048,576 bytes"):
        embedder(server).embed_query("pump")
    server.will(send(b"x", Content_Encoding="gzip"))
    with pytest.raises(BadAnswer, match="compressed"):
        embedder(server).embed_query("pump")


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_rejected_request_is_an_error_without_the_key(
    server: FakeServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not repeated, and the server cannot make messages or logs show the key."""
    caplog.set_level(logging.DEBUG)
    server.will(send(f"bad key {KEY}".encode(), status))
    with pytest.raises(EngineError, match=f"rejected the request: {status}") as caught:
        embedder(server).embed_query("pump")

    assert len(server.asked) == 1
    config = EmbeddingServerConfig(server.url, "words", KEY)
    assert KEY not in str(caught.value) + caplog.text + repr(config)
    assert KEY not in repr(caught.value.__cause__)


def test_redirects_are_not_followed(server: FakeServer) -> None:
    """Texts and key go to the named server only."""
    server.will(send(b"", 307, Location=f"http://u:p@else.invalid/?key={KEY}"))
    with pytest.raises(EngineError, match=r"redirects to 'http://else\.invalid/'"):
        embedder(server).embed_query("pump")


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://a:1", "http://a:1/v1/embeddings"),
        ("http://a:1/", "http://a:1/v1/embeddings"),
        ("https://a/v1", "https://a/v1/embeddings"),
        ("https://a/v1/embeddings", "https://a/v1/embeddings"),
        ("https://a/api/v3/", "https://a/api/v3/embeddings"),
    ],
)
def test_the_url_of_the_embeddings(url: str, endpoint: str) -> None:
    """A server alone, or the base of its interface."""
    assert EmbeddingServerConfig(url, "words").endpoint == endpoint


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "a:1"},
        {"url": "http://user:password@a"},
        {"url": "http://a?key=1"},
        {"model": " "},
        {"api_key": "a\nb"},
        {"batch": 0},
        {"max_tokens": 0},
        {"timeout": 0},
        {"wait": -1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """Before a request is sent; a key that may be in a URL is not shown."""
    with pytest.raises(ConfigError) as caught:
        EmbeddingServerConfig(**{"url": "http://a", "model": "words", **wrong})
    assert "key=1" not in str(caught.value)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "query", "document"),
    [
        ("intfloat/multilingual-e5-small", "query: ", "passage: "),
        ("BAAI/bge-small-en-v1.5", "Represent this", ""),
        ("BAAI/bge-m3", "", ""),
        ("nomic-embed-text:latest", "search_query: ", "search_document: "),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("snowflake-arctic-embed2", "query: ", ""),
        ("Snowflake/snowflake-arctic-embed-m-v1.5", "Represent this", ""),
        ("google/embeddinggemma-300m", "task: search result | query: ", "title: none | text: "),
        ("Qwen/Qwen3-Embedding-0.6B", "Instruct: ", ""),
        ("intfloat/multilingual-e5-large-instruct", "Instruct: ", ""),
        ("text-embedding-3-small", "", ""),
        ("sentence-transformers/all-MiniLM-L6-v2", "", ""),
        ("words", "", ""),
    ],
)
def test_prefixes_of_known_models(model: str, query: str, document: str) -> None:
    """As on their cards; none for others."""
    found = prefixes_of(model)

    assert found.query.startswith(query)
    assert (not found.query) == (not query)
    assert found.document == document


def test_prefixes_are_sent_and_counted(server: FakeServer) -> None:
    """Those of the model, or those of the settings, of which one may be empty."""
    own = embedder(server, model="e5-small")
    own.embed_query("pump")
    own.embed_documents(["pump"])
    embedder(server, model="e5-small", query_prefix="").embed_query("pump")
    embedder(server, document_prefix="d: ").embed_documents(["pump"])

    assert [body["input"] for body in server.asked] == [
        ["query: pump"],
        ["passage: pump"],
        ["pump"],
        ["d: pump"],
    ]
    assert own.count_tokens("pump") > embedder(server).count_tokens("pump")
    assert Prefixes() == prefixes_of("words")


def test_a_collection_refuses_another_model_or_dimension(server: FakeServer) -> None:
    """It records both."""
    with QdrantStore(":memory:") as store:
        store.ensure(embedder(server), Bm25Encoder())
        store.verify(embedder(server), Bm25Encoder())
        with pytest.raises(SchemaMismatch, match="embedder='words', not embedder='other'"):
            store.verify(embedder(server, model="other"), Bm25Encoder())
        server.will(answer(lambda entries: [{**one, "embedding": [1.0]} for one in entries]))
        with pytest.raises(SchemaMismatch, match="dimension=64, not dimension=1"):
            store.verify(embedder(server), Bm25Encoder())


@given(st.text())
def test_token_estimates_grow_with_the_text(text: str) -> None:
    """The chunker relies on it."""
    made = ServerEmbedder(EmbeddingServerConfig("http://a", "words"))

    assert 2 <= made.count_tokens(text) <= 2 + len(text)
    assert made.count_tokens(text + " pump") > made.count_tokens(text)
