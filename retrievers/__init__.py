"""Finds chunks that answer a question, and cites them.

Importing this package is cheap: models and third-party libraries load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ingest.core.lazy import lazy_exports

__all__ = [
    "NOT_LOCATED",
    "OTHER_PHRASE",
    "Citation",
    "CitedPage",
    "Context",
    "CrossEncoderRerank",
    "CrossEncoderReranker",
    "Evaluation",
    "Hit",
    "HybridRetriever",
    "PagePicture",
    "PageTarget",
    "Query",
    "Question",
    "QuestionSet",
    "Redecoder",
    "Redecoding",
    "Reranker",
    "SecondLook",
    "WiderContext",
    "cite",
    "evaluate",
    "markdown_slices",
    "page_pictures",
    "read_questions",
    "redecode_tool",
    "search",
]

_EXPORTS = {
    "answer_quality": "NOT_LOCATED OTHER_PHRASE",
    "citations": "Citation CitedPage cite markdown_slices",
    "evaluation.evaluate": "Evaluation evaluate",
    "evaluation.questions": "Question QuestionSet read_questions",
    "hybrid_search": "search",
    "pictures": "PagePicture page_pictures",
    "postprocessors": "CrossEncoderRerank WiderContext",
    "query": "Context Hit Query",
    "redecode": "PageTarget Redecoder Redecoding",
    "rerank": "CrossEncoderReranker Reranker",
    "retriever": "HybridRetriever",
    "second_look": "SecondLook redecode_tool",
}

if TYPE_CHECKING:
    from .answer_quality import NOT_LOCATED, OTHER_PHRASE
    from .citations import Citation, CitedPage, cite, markdown_slices
    from .evaluation.evaluate import Evaluation, evaluate
    from .evaluation.questions import Question, QuestionSet, read_questions
    from .hybrid_search import search
    from .pictures import PagePicture, page_pictures
    from .postprocessors import CrossEncoderRerank, WiderContext
    from .query import Context, Hit, Query
    from .redecode import PageTarget, Redecoder, Redecoding
    from .rerank import CrossEncoderReranker, Reranker
    from .retriever import HybridRetriever
    from .second_look import SecondLook, redecode_tool
else:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
