"""The LlamaIndex reader: one Document per page, with its layout."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from llama_index.core.bridge.pydantic import Field as PydanticField
from llama_index.core.bridge.pydantic import SecretStr
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document

from ..chunking.furniture import write_pages
from ..core.config import (
    EngineConfig,
    LayoutConfig,
    OpticalConfig,
    PageFurniture,
    TokenCacheConfig,
    VllmConfig,
)
from ..core.identity import page_id
from ..core.modes import AUTO
from ..core.records import PageFailure, PageOutcome, ParsedPage
from ..core.schema import Field
from ..documents.pages import open_document
from ..engines.choice import make_engine
from ..indexing.payload import LLM_KEYS
from ..markdown.render import PageMarkdown, page_markdown
from .events import page_event
from .page_documents import LAYOUT_KEY

__all__ = ["DeepSeekOCRReader"]

_log = logging.getLogger(__name__)


class DeepSeekOCRReader(BasePydanticReader):
    """Reads PDFs and images as Markdown with located blocks, one Document per page.

    Works alone, in ``SimpleDirectoryReader(file_extractor={".pdf": reader})``, and before
    :class:`LayoutNodeParser` in an ``IngestionPipeline``. Document ids come from the file's
    location and the page number, so a docstore sees which pages changed.

    A page that cannot be read is logged and left out. A file that cannot be opened raises.

    Example:
        >>> documents = DeepSeekOCRReader().load_data("report.pdf")
    """

    engine: str = PydanticField(
        default="auto",
        description="'layout' needs no GPU, 'deepseek-ocr' needs its weights; 'auto' chooses.",
    )
    ocr_model: str | None = PydanticField(
        default=None,
        description="DeepSeek-OCR: a folder or hub id of the model; None: the released model.",
    )
    mode: str = PydanticField(
        default=AUTO,
        description="DeepSeek-OCR: 'auto', or a name in opticalrag.ingest.core.modes.MODES.",
    )
    prompt: str = PydanticField(
        default="markdown",
        description="DeepSeek-OCR: see opticalrag.ingest.core.prompts.prompt_named.",
    )
    tokens: str | None = PydanticField(
        default=TokenCacheConfig().location,
        description="DeepSeek-OCR: folder or URL of the vision-token cache; None: no cache.",
    )
    vllm_url: str | None = PydanticField(
        default=None, description="Engine 'vllm': the server's URL, 'http://host:port'."
    )
    vllm_api_key: SecretStr | None = PydanticField(
        default=None,
        exclude=True,
        description="Engine 'vllm': the server's API key; never serialised.",
    )
    device: str = PydanticField(
        default="auto", description="DeepSeek-OCR: 'auto', 'cpu', 'cuda' or 'cuda:N'."
    )
    pages: str | None = PydanticField(
        default=None, description="Pages to read, 1-based, e.g. '1-3,7'; None: all."
    )
    furniture: PageFurniture = PydanticField(
        default="metadata",
        description="Running headers and footers: 'keep' in the text, 'drop', or 'metadata' only.",
    )
    ocr: Literal["auto", "off", "force"] = PydanticField(
        default="auto", description="OCR of pages without usable text."
    )
    links: bool = PydanticField(
        default=False, description="Write links to the web as Markdown, '[words](URI)'."
    )
    workers: int = PydanticField(default=1, ge=1, description="Processes that parse pages.")
    password: SecretStr | None = PydanticField(
        default=None, exclude=True, description="Password of encrypted files; never serialised."
    )

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serialises this reader under."""
        return "DeepSeekOCRReader"

    def lazy_load_data(
        self,
        file: str | Path | bytes | BinaryIO,
        extra_info: Mapping[str, Any] | None = None,
        fs: Any = None,
    ) -> Iterator[Document]:
        """Yield the pages of one file.

        They are compared to find running heads, so the first comes after the last is read. With
        ``furniture="keep"``, each comes as it is read.

        Args:
            file: path, bytes or binary file object of a PDF or image.
            extra_info: metadata copied to every Document. Our own fields win.
            fs: the fsspec file system that ``file`` is a path in.

        Raises:
            SourceError: the file cannot be opened (its subclass says why).
        """
        password = self.password.get_secret_value() if self.password else None
        with (
            closing(make_engine(self._engine_config())) as engine,
            open_document(file, password=password, fs=fs) as source,
        ):
            if source.warning:
                _log.warning("%s", source.warning)
            outcomes = self._read(engine.parse(source.tasks(self.pages)))
            if self.furniture == "keep":
                for page in outcomes:
                    yield _document(page, page_markdown(page), extra_info or {})
                return
            pages = list(outcomes)
            for page, written in zip(pages, write_pages(pages, self.furniture), strict=True):
                shown = replace(written, furniture=()) if self.furniture == "drop" else written
                yield _document(page, shown, extra_info or {})

    def _read(self, outcomes: Iterable[PageOutcome]) -> Iterator[ParsedPage]:
        """Yield the pages that could be read; report the others."""
        for outcome in outcomes:
            page_event(outcome)
            if isinstance(outcome, PageFailure):
                page, why = outcome.number, outcome.message
                _log.warning("%s, page %s: %s", outcome.file, page, why)
            else:
                yield outcome

    def _engine_config(self) -> EngineConfig:
        optical = OpticalConfig(
            self.ocr_model,
            mode=self.mode,
            prompt=self.prompt,
            device=self.device,
            tokens=TokenCacheConfig(self.tokens) if self.tokens else None,
        )
        layout = LayoutConfig(ocr=self.ocr, links=self.links)
        return EngineConfig(self.engine, self.workers, layout, optical, vllm=self._server())

    def _server(self) -> VllmConfig | None:
        if self.engine != "vllm" or self.vllm_url is None:
            return None
        key = self.vllm_api_key.get_secret_value() if self.vllm_api_key else None
        server = VllmConfig(self.vllm_url, key)
        return replace(server, model=self.ocr_model) if self.ocr_model else server

    def load_data(
        self,
        file: str | Path | bytes | BinaryIO,
        extra_info: Mapping[str, Any] | None = None,
        fs: Any = None,
    ) -> list[Document]:
        """Read all pages of one file; see :meth:`lazy_load_data`."""
        return list(self.lazy_load_data(file, extra_info=extra_info, fs=fs))


def _document(page: ParsedPage, markdown: PageMarkdown, extra_info: Mapping[str, Any]) -> Document:
    document = page.ref.document
    metadata = {
        **extra_info,
        Field.FILE_NAME: document.name,
        Field.FILE_PATH: document.uri,
        Field.FILE_ID: document.id,
        Field.FILE_SHA256: document.sha256,
        Field.PAGES: [page.ref.number],
        Field.PAGE_LABEL: page.ref.label,
        "total_pages": document.page_count,
        LAYOUT_KEY: markdown.layout(),
    }
    keys = list(metadata)
    return Document(
        id_=page_id(document.id, page.ref.index),
        text=markdown.text,
        metadata=metadata,
        excluded_embed_metadata_keys=keys,
        excluded_llm_metadata_keys=[key for key in keys if key not in LLM_KEYS],
    )
