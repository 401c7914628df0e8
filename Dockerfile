# One recipe for three images: EXTRAS and TORCH_INDEX_URL choose (docker-compose.yml lists them).
# Nothing is downloaded but packages; DeepSeek-OCR's weights are fetched at run time, if at all.
ARG PYTHON=3.11.16

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/opticalrag
ENV PATH=/opt/opticalrag/bin:$PATH

# torch by itself: PyPI's build brings CUDA to machines without a GPU, and no other package
# shall come from its index. A layer of its own, too, for it is the largest and changes least.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --index-url "${TORCH_INDEX_URL}" -c constraints.txt torch

ARG EXTRAS=ocr,offline
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY ingest ingest
COPY retrievers retrievers
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -c constraints.txt ".[${EXTRAS}]"

FROM python:${PYTHON}-slim-bookworm
# The image contains PyMuPDF; README says what its AGPL asks of who passes the image on.
LABEL org.opencontainers.image.title="OpticalRAG" \
      org.opencontainers.image.description="PDF pages to cited answers: ingestion into and search in Qdrant" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-only"
RUN useradd --uid 1000 --create-home opticalrag
COPY --from=build /opt/opticalrag /opt/opticalrag
ENV PATH=/opt/opticalrag/bin:$PATH \
    PYTHONUNBUFFERED=1
# By number, so that a platform that refuses root can tell.
USER 1000
# All that is kept (vision tokens, downloaded weights) lies under the home: one volume holds it.
WORKDIR /home/opticalrag
ENTRYPOINT ["opticalrag"]
