"""Decodes a page again with another prompt, from its cached vision tokens.

The document is not opened, rendered or encoded: the decoder reads the tokens only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..ingest.core.errors import CacheMiss, OpticalRagError, SourceChanged, SourceError
from ..ingest.core.modes import AUTO, mode_named
from ..ingest.core.prompts import prompt_named
from ..ingest.core.protocols import OpticalModel
from ..ingest.core.records import Block, DocumentRef
from ..ingest.core.schema import Field
from ..ingest.core.vision import DecodeRequest, TokenKey, VisionTokens
from ..ingest.documents.pages import open_document
from ..ingest.documents.sources import path_of
from ..ingest.engines.deepseek_ocr.attempts import DPI, LONG_SIDE, PROFILE, survey_page
from ..ingest.engines.deepseek_ocr.grounding.transcript import read_grounding
from ..ingest.token_cache.cache import TokenCache
from .answer_quality import assess_answer
from .query import Hit

__all__ = ["PageTarget", "Redecoder", "Redecoding", "redecode_all", "target_from_hit"]

_MAX_SHOWN: Final = 200  # characters of a path in an error message


@dataclass(frozen=True, slots=True)
class PageTarget:
    """A page to decode again.

    ``document`` is an id, path or file name; ``page`` is 1-based. ``sha256`` is the hash of the
    file, if known: tokens of another version are not used.
    """

    document: str
    page: int
    path: str = ""
    sha256: str = ""


def target_from_hit(hit: Hit) -> PageTarget:
    """Return the page on which a hit starts; raise CacheMiss if the hit names none."""
    if not hit.pages or not (hit.file_id or hit.file_path):
        raise CacheMiss(f"the hit {hit.id} does not name its document and page; ingest it again")
    sha256 = str(hit.payload.get(Field.FILE_SHA256) or "")
    return PageTarget(hit.file_id or hit.file_path, hit.pages[0], hit.file_path, sha256)


@dataclass(frozen=True, slots=True)
class Redecoding:
    """The answer of the model. ``page`` is 1-based; boxes are as in :class:`Block`.

    ``text`` is the raw output with its markers, and ``blocks`` are parsed from it.
    ``output_tokens`` includes those of a loop that was cut off. ``seconds`` is the decoding time.
    ``flags`` say why the answer may be wrong (see :func:`.answer_quality.assess_answer`).
    """

    document: str
    page: int
    prompt: str
    mode: str
    text: str
    blocks: tuple[Block, ...]
    finish_reason: str
    output_tokens: int
    vision_tokens: int
    seconds: float
    flags: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON values."""
        values = asdict(self)
        values["flags"] = list(self.flags)
        values["blocks"] = [
            {"kind": b.kind.value, "box": list(b.box.as_tuple()), "text": b.text}
            for b in self.blocks
        ]
        return values


class Redecoder:
    """Decodes cached pages again, with the model that encoded them."""

    def __init__(self, cache: TokenCache, model: OpticalModel) -> None:
        self.cache = cache
        self.model = model

    def redecode(
        self,
        target: PageTarget | Hit,
        prompt: str = "markdown",
        *,
        mode: str | None = None,
        max_tokens: int | None = None,
        encode: bool = False,
    ) -> Redecoding:
        """Decode a cached page with a prompt.

        Args:
            target: the page, or a hit that starts on it.
            prompt: a name such as ``"markdown"`` or ``"locate:TEXT"``; see
                :func:`opticalrag.ingest.core.prompts.prompt_named`.
            mode: use tokens of this mode only; None or ``"auto"`` for the largest cached mode.
            max_tokens: maximum length of the answer; None for the context length of the model.
            encode: if the tokens are missing, open the file, render and encode the page. The file
                is the one that the document was read from, or a path in ``target``.

        Raises:
            CacheMiss: the cache has no tokens of this page made by this model. The message says
                whether ``encode`` would help.
            ConfigError: the prompt or mode does not exist.
            SourceError: with ``encode``, the file has changed, cannot be opened or lacks the page.
        """
        page = target_from_hit(target) if isinstance(target, Hit) else target
        asked = prompt_named(prompt)
        tokens = self._tokens(page, None if mode == AUTO else mode, encode)
        (transcript,) = self.model.decode([DecodeRequest(tokens, asked, max_tokens)])
        grounding = read_grounding(transcript.text, truncated=transcript.finish_reason != "eos")
        return Redecoding(
            document=page.document,
            page=page.page,
            prompt=transcript.prompt_name,
            mode=tokens.mode,
            text=transcript.text,
            blocks=grounding.blocks,
            finish_reason=transcript.finish_reason,
            output_tokens=transcript.written,
            vision_tokens=transcript.vision_tokens,
            seconds=transcript.seconds,
            flags=assess_answer(asked, transcript, grounding),
        )

    def _tokens(self, page: PageTarget, mode: str | None, encode: bool) -> VisionTokens:
        if mode is not None:
            mode_named(mode, self.model.modes)
        known = self.cache.document(page.document)
        try:
            return self.cache.load(
                page.document,
                page.page - 1,
                weights=self.model.weights,
                mode=mode,
                sha256=page.sha256,
            )
        except CacheMiss as miss:
            # Another version of the file may have more pages.
            is_same = known and page.sha256 in ("", known.sha256)
            if known and is_same and not 1 <= page.page <= known.page_count:
                raise
            file = _source_file(page, known)
            if isinstance(file, str):
                raise CacheMiss(f"{miss}; {file}") from miss
            if not encode:
                raise CacheMiss(f"{miss}; pass encode=True to encode it again") from miss
            return self._encode(page, file, known, mode)

    def _encode(
        self, page: PageTarget, path: Path, known: DocumentRef | None, mode: str | None
    ) -> VisionTokens:
        with open_document(path) as document:
            _check_same(path, document.ref, page, known)
            image = document.render(page.page - 1, dpi=DPI, long_side=LONG_SIDE)
        model = self.model
        if mode:
            chosen = mode_named(mode, model.modes)
        else:
            count = model.count_text_tokens
            chosen = survey_page(image, count, model.modes, model.compression).mode
        (tokens,) = model.encode([image.pixels], chosen)
        key = TokenKey.for_page(image.pixels, PROFILE, chosen.name, self.model)
        ref = image.ref
        if known:  # its identity counts, even if its file has moved
            found = replace(ref.document, id=known.id, name=known.name, uri=known.uri)
            ref = replace(ref, document=found)
        self.cache.store(key, tokens, ref)
        return tokens


def _source_file(page: PageTarget, known: DocumentRef | None) -> Path | str:
    """The file to encode the page from, or the reason why there is none."""
    # A mere file name is not a path: the current folder may hold another file of that name.
    is_path = any(separator in page.document for separator in {"/", os.sep})
    location = page.path or (known.uri if known else page.document if is_path else "")
    if not location and known:
        return "it was not read from a file: ingest it again"
    if not location:
        return "to encode a file, give its path, such as ./report.pdf"
    shown = f"{location:.{_MAX_SHOWN}}"
    path = path_of(location)
    if path is None:
        return f"it was read from {shown}, which is not on this disk: ingest it again"
    if os.path.isfile(path):  # noqa: PTH113  no error for an invalid name
        return path
    if known or page.path:
        return f"its file {shown} no longer exists: ingest it from its new location"
    return f"the file {shown} does not exist either: check the path"


def _check_same(
    path: Path, found: DocumentRef, page: PageTarget, known: DocumentRef | None
) -> None:
    """Raise an error if the file has changed since it was ingested, or lacks the page."""
    sha256 = page.sha256 or (known.sha256 if known else "")
    if sha256 and sha256 != found.sha256:
        raise SourceChanged(f"{path} has changed since it was ingested: ingest it again")
    if not 1 <= page.page <= found.page_count:
        raise SourceError(
            f"{path} has no page {page.page}: choose one from 1 to {found.page_count}"
        )


def redecode_all(
    redecoder: Redecoder, asked: Sequence[tuple[PageTarget, str]], budget: int
) -> list[Redecoding | OpticalRagError]:
    """Decode pages until ``budget`` output tokens are used up; return an answer or error each."""
    answers: list[Redecoding | OpticalRagError] = []
    for target, prompt in asked:
        if budget < 1:
            break
        try:
            answer = redecoder.redecode(target, prompt, max_tokens=budget)
        except OpticalRagError as error:
            answers.append(error)
        else:
            budget -= answer.output_tokens
            answers.append(answer)
    return answers
