"""Decode a page again, with another prompt, from its stored vision tokens.

Nothing of the document is opened, drawn or encoded: the tokens are all the decoder reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..ingest.core.errors import CacheMiss, OpticalRagError, SourceChanged, SourceError
from ..ingest.core.modes import AUTO, mode_named
from ..ingest.core.prompts import Prompt, prompt_named
from ..ingest.core.protocols import OpticalModel
from ..ingest.core.records import Block, DocumentRef, PageRef
from ..ingest.core.schema import Field
from ..ingest.core.vision import DecodeRequest, TokenKey, Transcript, VisionTokens
from ..ingest.documents.pages import open_document
from ..ingest.documents.sources import path_of
from ..ingest.engines.deepseek_ocr.attempts import DPI, LONG_SIDE, PROFILE, survey_page
from ..ingest.engines.deepseek_ocr.grounding.transcript import read_grounding
from ..ingest.token_cache.cache import TokenCache
from .answer_flags import answer_flags
from .query import Hit

__all__ = ["PageTarget", "Redecoder", "Redecoding", "redecode_all", "target_of"]

_PATH_MARKS: Final = {"/", os.sep}
"""What tells a path from the name of a file."""
_SHOWN: Final = 200  # characters of a path in a message


@dataclass(frozen=True, slots=True)
class PageTarget:
    """A page to decode again.

    ``document`` is an id, path or file name and ``page`` is 1-based. ``path`` is where the file
    was, and ``sha256`` what its bytes were, if known: tokens of other bytes are not taken.
    """

    document: str
    page: int
    path: str = ""
    sha256: str = ""


def target_of(hit: Hit) -> PageTarget:
    """The page on which a hit starts.

    Raises:
        CacheMiss: the hit does not say which page it is of.
    """
    if not hit.pages or not (hit.file_id or hit.file_path):
        raise CacheMiss(f"the hit {hit.id} does not name its document and page; ingest it again")
    sha256 = str(hit.payload.get(Field.FILE_SHA256) or "")
    return PageTarget(hit.file_id or hit.file_path, hit.pages[0], hit.file_path, sha256)


@dataclass(frozen=True, slots=True)
class Redecoding:
    """What the model wrote this time. ``page`` is 1-based; boxes as in :class:`Block`.

    ``text`` is as the model wrote it, marks included; ``blocks`` is what it means.
    ``output_tokens`` are all that were decoded, also what a loop wrote before it was cut.
    ``flags`` say why it may be wrong (see :func:`.answer_flags.answer_flags`).
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
        """JSON values."""
        values = asdict(self)
        values["flags"] = list(self.flags)
        values["blocks"] = [
            {"kind": b.kind.value, "box": list(b.box.as_tuple()), "text": b.text}
            for b in self.blocks
        ]
        return values


class Redecoder:
    """Decodes stored pages again.

    Args:
        cache: where vision tokens are.
        model: the model that made them.
    """

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
        """Ask a stored page something.

        Args:
            target: the page, or a hit that starts on it.
            prompt: see :func:`opticalrag.ingest.core.prompts.prompt_named`.
            mode: only tokens of this mode; None or "auto" for the widest that are kept.
            max_tokens: bound of the answer; None for the model's context.
            encode: open, draw and encode the page if its tokens are gone: from where the document
                was read, or from the path that names it.

        Raises:
            CacheMiss: no tokens of this page by this model; says whether it could be encoded.
            ConfigError: a prompt or mode that does not exist.
            SourceChanged: ``encode``, and the file is not the one that was ingested.
            SourceError: ``encode``, and the file cannot be opened or has no such page.
        """
        page = target_of(target) if isinstance(target, Hit) else target
        asked = prompt_named(prompt)
        tokens = self._tokens(page, None if mode == AUTO else mode, encode)
        (transcript,) = self.model.decode([DecodeRequest(tokens, asked, max_tokens)])
        return _redecoding(page, asked, tokens, transcript)

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
            if known and _is_beyond(page, known):
                raise
            path = _origin(page, known)
            if isinstance(path, str):
                raise CacheMiss(f"{miss}; {path}") from miss
            if not encode:
                raise CacheMiss(f"{miss}; encode it again with encode=True (--encode)") from miss
            return self._encode(page, path, known, mode)

    def _encode(
        self, page: PageTarget, path: Path, known: DocumentRef | None, mode: str | None
    ) -> VisionTokens:
        with open_document(path) as document:
            _check_same(path, document.ref, page, known)
            image = document.render(page.page - 1, dpi=DPI, long_side=LONG_SIDE)
        model = self.model
        named = mode_named(mode, model.modes) if mode else None
        limits = (model.modes, model.compression)
        chosen = named or survey_page(image, model.count_text_tokens, *limits).mode
        (tokens,) = model.encode([image.pixels], chosen)
        key = TokenKey.for_page(image.pixels, PROFILE, chosen.name, self.model)
        self.cache.store(key, tokens, _placed(image.ref, known))
        return tokens


def _is_beyond(page: PageTarget, known: DocumentRef) -> bool:
    """Whether the document, as it is known and asked for, has no such page."""
    is_same = page.sha256 in ("", known.sha256)
    return is_same and not 1 <= page.page <= known.page_count


def _origin(page: PageTarget, known: DocumentRef | None) -> Path | str:
    """The file a page can be encoded from, or why there is none.

    A mere name is looked up in the cache, never in the folder one is in: a file of that name
    there may be another document.
    """
    is_path = any(mark in page.document for mark in _PATH_MARKS)
    place = page.path or (known.uri if known else page.document if is_path else "")
    if not place and known:
        return "it was read from no file: ingest it again"
    if not place:
        return "to encode a file, name it by its path, as in ./report.pdf"
    shown = f"{place:.{_SHOWN}}"
    path = path_of(place)
    if path is None:
        return f"it was read from {shown}, which is not on this disk: ingest it again"
    if _is_file(path):
        return path
    if known or page.path:
        return f"its file {shown} is not there any more: ingest it from where it is now"
    return f"nor is there a file {shown}: check its path"


def _check_same(
    path: Path, found: DocumentRef, page: PageTarget, known: DocumentRef | None
) -> None:
    """Refuse a file that is not the one meant, or has no such page."""
    sha256 = page.sha256 or (known.sha256 if known else "")
    if sha256 and sha256 != found.sha256:
        raise SourceChanged(f"{path} has changed since it was ingested; ingest it again")
    if not 1 <= page.page <= found.page_count:
        raise SourceError(f"{path} has {found.page_count} pages, not {page.page}")


def _placed(ref: PageRef, known: DocumentRef | None) -> PageRef:
    """The page as one of the document that was asked for, wherever its file lies by now."""
    if known is None:
        return ref
    it = replace(ref.document, id=known.id, name=known.name, uri=known.uri)
    return replace(ref, document=it)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name no file can have
        return False


def _redecoding(
    page: PageTarget, asked: Prompt, tokens: VisionTokens, transcript: Transcript
) -> Redecoding:
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
        flags=answer_flags(asked, transcript, grounding),
    )


def redecode_all(
    redecoder: Redecoder, asked: Sequence[tuple[PageTarget, str]], budget: int
) -> list[Redecoding | OpticalRagError]:
    """Ask several pages in turn, until ``budget`` tokens have been written.

    Returns:
        An answer or the reason why there is none for each page asked before the budget ended.
    """
    answers: list[Redecoding | OpticalRagError] = []
    for target, prompt in asked:
        if budget < 1:
            break
        try:
            answer = redecoder.redecode(target, prompt, max_tokens=budget)
        except OpticalRagError as error:
            answers.append(error)
            continue
        budget -= answer.output_tokens
        answers.append(answer)
    return answers
