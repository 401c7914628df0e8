"""OpticalRAG: PDF pages to cited answers.

``opticalrag.ingest`` reads, chunks and stores documents; ``opticalrag.retrievers`` searches them.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
