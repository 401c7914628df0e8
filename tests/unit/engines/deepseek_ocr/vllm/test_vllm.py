"""The vLLM client and engine, against a fake server on loopback that may misbehave."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from opticalrag.ingest.core.config import EngineConfig, OpticalConfig, VllmConfig
from opticalrag.ingest.core.errors import (
    BadAnswer,
    ConfigError,
    EngineError,
    EngineUnavailable,
    SourceMissing,
)
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.records import PageFailure, PageOutcome, PageTask, ParsedPage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.choice import make_engine
from opticalrag.ingest.engines.deepseek_ocr.vllm.client import VllmClient, read_answer
from opticalrag.ingest.llama_index.reader import DeepSeekOCRReader

from ....pipeline.test_pipeline import page_text, write_pdf
from ..test_engine import MARK, emptied

KEY = "sk-a-secret-that-nobody-may-see"
MARKDOWN = PROMPTS["markdown"]


def reply(text: Any = "hello", reason: Any = "stop", tokens: Any = 3) -> bytes:
    """Return a response as vLLM sends it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    value = {"choices": [choice | {"finish_reason": reason}]}
    return json.dumps(value | {"usage": {"completion_tokens": tokens}}).encode()


@dataclass
class Fake:
    """A fake server with a script of responses. It records requests, and repeats the last step."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    script: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    now: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def will(self, *steps: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.script = list(steps)

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.asked.append(body)
            self.headers.append(dict(handler.headers))
            step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        try:
            step(handler)
        finally:
            with self.lock:
                self.now -= 1


def say(data: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a step that sends these bytes."""

    def step(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return step


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send an endless answer, byte by byte."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def flood(handler: BaseHTTPRequestHandler) -> None:
    """Send more bytes than any page has."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(4096):
        handler.wfile.write(b"x" * 65536)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    """Announce a longer answer than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(reply()[:20])


@pytest.fixture
def server() -> Iterator[Fake]:
    """Run the fake server."""
    fake = Fake()
    fake.will(say(reply()))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions"
            try:
                fake.handle(self)
            except OSError:
                self.close_connection = True  # the client closed it

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    fake.url = f"http://127.0.0.1:{http.server_port}"
    yield fake
    http.shutdown()
    thread.join()
    http.server_close()


def client(fake: Fake, **options: Any) -> VllmClient:
    """Return a client that does not wait between requests."""
    config = VllmConfig(fake.url, KEY, **{"timeout": 5.0, "wait": 30.0, **options})
    return VllmClient(config, sleep=lambda seconds: None)


def test_requests_follow_the_published_recipe(server: Fake) -> None:
    """Greedy, with special tokens, the n-gram rule and the API key."""
    with client(server) as asking:
        answer = asking.ask(b"\x89PNG", MARKDOWN, 77)
    assert (answer.text, answer.reason, answer.tokens) == ("hello", "eos", 3)
    (asked,), (headers,) = server.asked, server.headers
    picture, text = asked["messages"][0]["content"]
    assert (
        picture["image_url"]["url"]
        == "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    )
    assert text["text"] == "<|grounding|>Convert the document to markdown."
    assert (asked["temperature"], asked["max_tokens"]) == (0.0, 77)
    assert asked["skip_special_tokens"] is False
    assert asked["vllm_xargs"] == {
        "ngram_size": 30,
        "window_size": 90,
        "whitelist_token_ids": [128821, 128822],
    }
    assert headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("fault", [hang_up, cut_off, say(b"busy", 503), say(b"slow down", 429)])
def test_transient_faults_are_retried(
    server: Fake, fault: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    """The same page is sent again."""
    server.will(fault, fault, say(reply("at last")))
    with client(server) as asking:
        assert asking.ask(b"", MARKDOWN, 5).text == "at last"
    assert len(server.asked) == 3


def test_a_server_that_is_down_gets_one_request_per_page(server: Fake) -> None:
    """Until it answers again; then requests are retried again."""
    server.will(say(b"", 503))
    with client(server, wait=1.0) as asking:
        with pytest.raises(EngineUnavailable, match="503"):
            asking.ask(b"", MARKDOWN, 5)
        first = len(server.asked)
        with pytest.raises(EngineUnavailable):
            asking.ask(b"", MARKDOWN, 5)
        assert first > 1
        assert len(server.asked) == first + 1
        server.will(say(reply()))
        asking.ask(b"", MARKDOWN, 5)
        server.will(hang_up, say(reply("again")))
        assert asking.ask(b"", MARKDOWN, 5).text == "again"


def test_a_missing_server_is_reported_with_its_url() -> None:
    """As an engine that is not available."""
    asking = VllmClient(VllmConfig("http://127.0.0.1:9", wait=0))
    with asking, pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:9/v1/chat/completions"):
        asking.ask(b"", MARKDOWN, 5)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    """Send endless headers, byte by byte."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
    for _ in range(100):
        handler.wfile.write(b"a")
        time.sleep(0.05)


def go_on(handler: BaseHTTPRequestHandler) -> None:
    """Send 100 Continue again and again."""
    for _ in range(100):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("slow", [drip, drip_headers, go_on, lambda handler: time.sleep(5)])
def test_answers_must_be_complete_in_time(
    server: Fake, slow: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    """Also if bytes keep coming."""
    server.will(slow)
    with client(server, timeout=0.4, wait=0) as asking:
        started = time.monotonic()
        with pytest.raises(EngineUnavailable, match=r"within 0\.4 s|timed out"):
            asking.ask(b"", MARKDOWN, 5)
        assert time.monotonic() - started < 3
        server.will(say(reply("next")))
        assert asking.ask(b"", MARKDOWN, 5).text == "next"


def test_a_server_that_reads_no_request_times_out() -> None:
    """It accepts the connection, and then reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        started = time.monotonic()
        asking = VllmClient(VllmConfig(url, timeout=0.4, wait=0))
        with asking, pytest.raises(EngineUnavailable):
            asking.ask(bytes(20_000_000), MARKDOWN, 5)
        assert time.monotonic() - started < 3


def test_too_long_answers_are_rejected(server: Fake) -> None:
    """So are compressed ones, which could decompress to any size."""
    with client(server) as asking:
        server.will(flood)
        with pytest.raises(BadAnswer, match="longer than"):
            asking.ask(b"", MARKDOWN, 5)
        server.will(say(gzip.compress(bytes(10**7)), Content_Encoding="gzip"))
        with pytest.raises(BadAnswer, match="compressed"):
            asking.ask(b"", MARKDOWN, 5)


def test_redirects_are_not_followed(server: Fake) -> None:
    """They are reported."""
    server.will(say(b"", 307, Location=f"{server.url}/elsewhere"))
    with client(server) as asking, pytest.raises(EngineError, match="elsewhere"):
        asking.ask(b"", MARKDOWN, 5)
    assert len(server.asked) == 1


def test_a_rejected_request_is_not_retried_and_the_key_stays_secret(
    server: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    """Even if the server repeats the key."""
    server.will(say(f"wrong key {KEY}".encode(), 401))
    caplog.set_level(logging.DEBUG)
    with client(server) as asking, pytest.raises(EngineError, match="401") as caught:
        asking.ask(b"", MARKDOWN, 5)
    assert len(server.asked) == 1
    assert KEY not in str(caught.value) + caplog.text + repr(VllmConfig(server.url, KEY))


ODD = 'sk-"quoted"\\secret'


@pytest.mark.parametrize(
    "answer",
    [
        say(f"you sent {ODD}".encode()),
        say(json.dumps({"headers": ODD}).encode()),
        say(b"x" * 290 + ODD.encode()),
        say(reply(tokens=ODD)),
        say(reply(reason=ODD)),
        say(ODD.encode(), 503),
        say(b"", 307, Location=f"http://me:{ODD}@a/b?c={ODD}"),
    ],
)
def test_no_message_repeats_the_key(
    server: Fake, caplog: pytest.LogCaptureFixture, answer: Callable[..., None]
) -> None:
    """Even if the server sends it whole, escaped or cut. Nor does the cause of an error."""
    server.will(answer)
    caplog.set_level(logging.DEBUG, "opticalrag")
    asking = VllmClient(VllmConfig(server.url, ODD, wait=0.5), sleep=lambda seconds: None)
    with asking, pytest.raises(EngineError) as caught:
        asking.ask(b"", MARKDOWN, 5)
    said = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "secret" not in said
    assert "quoted" not in said
    assert "?c=" not in said


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        reply()[:-9],
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [1]}',
        b'{"choices": [{"message": null, "finish_reason": "stop"}]}',
        b"1" * 5000,
        reply(text=["a"]),
        reply(text={"a": 1}),
        reply(reason="abort"),
        reply(reason=["stop"]),
        reply(tokens="many"),
        reply(tokens=-1),
        reply(tokens=10**4000),
        reply(tokens=True),
        b"\xff\xfe" + reply(),
    ],
)
def test_invalid_answers_are_rejected(data: bytes) -> None:
    """With an error of ours."""
    with pytest.raises(BadAnswer):
        read_answer(data)


KEYS = st.sampled_from(["choices", "message", "content", "finish_reason", "usage"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@settings(max_examples=50)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_response_is_read_or_rejected(data: bytes) -> None:
    """No other error is raised."""
    with contextlib.suppress(BadAnswer):
        read_answer(data).text.encode()


@pytest.mark.parametrize(
    ("sent", "read"), [("a\0b", "a�b"), ("a\ud800b", "a?b"), (None, ""), ("€", "€")]
)
def test_text_is_text(sent: str | None, read: str) -> None:
    """NUL and lone surrogates are replaced; a missing text is empty."""
    assert read_answer(reply(sent)).text == read


@pytest.mark.parametrize(
    "url",
    [
        "",
        "server:8000",
        "ftp://server",
        "file:///etc/passwd",
        "http://",
        "http://a?b=c",
        "http://a\n",
        "http://a:99999",
        "http://a:0",
        "http://a:b",
        "http://999.1.1.1",
    ],
)
def test_invalid_urls_are_rejected(url: str) -> None:
    """Only HTTP servers are valid."""
    with pytest.raises(ConfigError, match="http://host:port"):
        VllmConfig(url)


def test_secrets_in_a_url_are_rejected_and_not_shown() -> None:
    """They would be part of every message."""
    for url in ("http://me:hidden@server", "me:hidden@server:80", "http://a/@?b=hidden"):
        with pytest.raises(ConfigError, match="as the key") as caught:
            VllmConfig(url)
        assert "hidden" not in str(caught.value)
    for url in ("http://a?key=hidden", "a#hidden"):
        with pytest.raises(ConfigError, match="http://host:port") as caught:
            VllmConfig(url)
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://a", "https://a.b-c.de.:65535/x", "http://[::1]:1", "http://vllm_1", "http://ä.de"],
)
def test_hosts_of_every_kind_are_accepted(url: str) -> None:
    """Names, addresses, names of containers."""
    assert VllmConfig(url).endpoint.startswith(url)


@pytest.mark.parametrize("host", ["xn--99999999", "xn--a", "xn--"])
def test_a_host_name_that_cannot_be_looked_up_fails_the_page(host: str) -> None:
    """With an error of ours, so that a run goes on."""
    asking = VllmClient(VllmConfig(f"http://{host}.invalid", KEY, wait=0))
    with asking, pytest.raises(EngineError, match="host name"):
        asking.ask(b"", MARKDOWN, 5)


def test_white_space_around_a_key_is_removed(server: Fake) -> None:
    """For example the line break at the end of a file."""
    with VllmClient(VllmConfig(server.url, f" {KEY}\n")) as asking:
        asking.ask(b"", MARKDOWN, 5)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert VllmConfig(server.url, "\n").api_key is None


@pytest.mark.parametrize("key", ["hidden\nX-A: b", "hidden\u00e9", "hidden\0"])
def test_keys_that_do_not_fit_in_a_header_are_rejected_and_not_shown(key: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match="key of the vLLM server") as caught:
        VllmConfig("http://a", key)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://a:1", "http://a:1/", "http://a:1/v1", "http://a:1/v1/"])
def test_the_url_may_have_a_slash_or_v1_at_the_end(url: str) -> None:
    """Both are common."""
    assert VllmConfig(url).endpoint == "http://a:1/v1/chat/completions"


def read(file: Path, fake: Fake, **options: Any) -> list[PageOutcome]:
    """Read all pages of a file with an engine from make_engine."""
    optical = OpticalConfig(prompt="markdown", mode=options.pop("mode", "auto"))
    server = VllmConfig(fake.url, **{"timeout": 5.0, "wait": 0.0, **options})
    engine = make_engine(EngineConfig("vllm", optical=optical, vllm=server))
    try:
        with open_document(file) as document:
            return list(engine.parse(document.tasks()))
    finally:
        engine.close()


def echo(handler: BaseHTTPRequestHandler) -> None:
    """Answer with the block that a good reading has."""
    say(reply(MARK.format("text", page_text("valve")), tokens=40))(handler)


def test_pages_become_blocks_as_with_a_local_model(tmp_path: Path, server: Fake) -> None:
    """In order, at the server's resolution, several at once, one picture per page."""
    topics = ["valve"] * 6
    write_pdf(tmp_path / "a.pdf", *(page_text(topic) for topic in topics))

    def wait_for_company(handler: BaseHTTPRequestHandler) -> None:
        gives_up = time.monotonic() + 10
        while server.most_at_once < 2 and time.monotonic() < gives_up:
            time.sleep(0.01)
        echo(handler)

    server.will(wait_for_company)
    pages = read(tmp_path / "a.pdf", server, concurrency=3)
    assert [page.ref.number for page in pages if isinstance(page, ParsedPage)] == [1, 2, 3, 4, 5, 6]
    for page in pages:
        assert isinstance(page, ParsedPage)
        assert (page.engine, page.flags) == ("vllm", ())
        (attempt,) = page.optical.attempts if page.optical else ()
        assert (attempt.mode, attempt.output_tokens) == ("gundam-6", 40)
        assert attempt.vision_tokens > 256
        assert page.blocks[0].text.startswith(page_text("valve")[:20])
    assert 1 < server.most_at_once <= 3
    url = server.asked[0]["messages"][0]["content"][0]["image_url"]["url"]
    picture = Image.open(BytesIO(base64.b64decode(url.partition(",")[2])))
    assert picture.size == (1190, 1684)


def test_a_page_that_fails_costs_no_other(tmp_path: Path, server: Fake) -> None:
    """It is reported with the cause."""
    write_pdf(tmp_path / "a.pdf", *(page_text("valve") for _ in range(3)))
    server.will(echo, say(b"<html>"), echo)
    pages = read(tmp_path / "a.pdf", server, concurrency=1)
    assert [type(page) for page in pages] == [ParsedPage, PageFailure, ParsedPage]
    failed = pages[1]
    assert isinstance(failed, PageFailure)
    assert (failed.code, failed.number) == ("bad_answer", 2)


def test_a_flagged_page_is_read_again_without_layout(tmp_path: Path, server: Fake) -> None:
    """At last, its text layer is used."""
    write_pdf(tmp_path / "a.pdf", page_text("valve"))
    server.will(say(reply("nothing that is there", "length")))
    (page,) = read(tmp_path / "a.pdf", server)
    assert isinstance(page, ParsedPage)
    prompts = [asked["messages"][0]["content"][1]["text"] for asked in server.asked]
    assert prompts == ["<|grounding|>Convert the document to markdown.", "Free OCR."]
    assert "text_layer_used" in page.flags


def test_a_source_that_fails_is_an_error_after_its_pages(tmp_path: Path, server: Fake) -> None:
    """Earlier pages are not lost."""
    write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("valve"))
    server.will(echo)
    engine = make_engine(EngineConfig("vllm", vllm=VllmConfig(server.url)))

    def tasks(pages: Iterator[PageTask]) -> Iterator[PageTask]:
        yield from pages
        raise SourceMissing("the next file is gone")

    with closing(engine), open_document(tmp_path / "a.pdf") as document:
        outcomes = engine.parse(tasks(document.tasks()))
        assert [type(next(outcomes)) for _ in range(2)] == [ParsedPage, ParsedPage]
        with pytest.raises(SourceMissing):
            next(outcomes)


def test_empty_pages_of_a_file_that_was_cut_short_are_doubted(tmp_path: Path, server: Fake) -> None:
    """As with a local model."""
    server.will(echo)
    pages = [page for page in read(emptied(tmp_path), server) if isinstance(page, ParsedPage)]
    flags = {page.flags for page in pages if not page.blocks}
    assert flags == {("blank", "damaged_file")}


@pytest.mark.parametrize("how", ["outcomes", "engine"])
def test_a_caller_that_stops_early_does_not_wait(tmp_path: Path, server: Fake, how: str) -> None:
    """Running requests are aborted, waiting pages are not sent, and nothing is retried."""
    write_pdf(tmp_path / "a.pdf", *(page_text("valve") for _ in range(8)))
    first, release = threading.Event(), threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        if first.wait(1):
            release.wait(20)
        else:  # the first request was not for the first page
            echo(handler)

    server.will(echo, hold)
    engine = make_engine(EngineConfig("vllm", vllm=VllmConfig(server.url, concurrency=3)))
    with closing(engine), open_document(tmp_path / "a.pdf") as document:
        outcomes = engine.parse(document.tasks())
        assert isinstance(next(outcomes), ParsedPage)
        first.set()
        wait_until(lambda: server.now > 0)
        started = time.monotonic()
        (outcomes if how == "outcomes" else engine).close()
        list(outcomes)  # pages that were read before, and failures
        wait_until(
            lambda: not any(t.name.startswith("opticalrag-vllm") for t in threading.enumerate())
        )
        assert time.monotonic() - started < 3
    assert len(server.asked) <= 6  # each page that was under way once, and no later page
    release.set()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for other threads."""
    gives_up = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < gives_up
        time.sleep(0.01)


def test_other_resolutions_are_rejected(tmp_path: Path, server: Fake) -> None:
    """A server reads at one resolution only."""
    with pytest.raises(ConfigError, match="gundam-6"):
        read(tmp_path / "a.pdf", server, mode="tiny")


def test_the_engine_needs_a_server() -> None:
    """The message names the parameter."""
    with pytest.raises(ConfigError, match="vllm_url"):
        make_engine(EngineConfig("vllm"))


def test_the_reader_uses_a_server(tmp_path: Path, server: Fake) -> None:
    """With its key, which is never serialised."""
    write_pdf(tmp_path / "a.pdf", page_text("valve"))
    server.will(echo)
    reader = DeepSeekOCRReader(engine="vllm", vllm_url=server.url, vllm_api_key=KEY)
    (document,) = reader.load_data(tmp_path / "a.pdf")
    assert "valve" in document.text
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(reader.to_dict())
