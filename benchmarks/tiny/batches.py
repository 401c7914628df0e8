"""Makes batches of drawn pages from the number of the batch, so that a run can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.utils.data import IterableDataset

from opticalrag.ingest.core.modes import Mode
from opticalrag.ingest.core.prompts import Prompt, prompt_named
from opticalrag.ingest.engines.deepseek_ocr.encoder.preprocess import prepare

from .drawing import pixels
from .layout import COLUMN, ROW, SIDE, Sheet, lay_out
from .network import ACROSS, PATCH
from .schedule import PHASES, TOGETHER, Phase, phase_at
from .targets import Target, free_ocr, glyphs, locate, markdown

__all__ = ["Batches", "question"]

_QUESTIONS: Final = 2  # of each page
_STREAM: Final = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """A prompt and its answer."""

    ids: NDArray[np.int64]
    silent: NDArray[np.bool_]
    cells: NDArray[np.int64]
    places: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Example:
    """A page and its answers."""

    view: NDArray[np.uint8]
    characters: NDArray[np.int64]
    answers: tuple[Answer, ...]

    @property
    def length(self) -> int:
        """Number of ids of the longest answer."""
        return max(len(answer.ids) for answer in self.answers)


class Batches(IterableDataset[dict[str, torch.Tensor]]):
    """Yield batches from a number on, without end. A batch depends on its number only."""

    def __init__(self, tokenizer: Path, first: int, phases: Sequence[Phase] = PHASES) -> None:
        self._file = str(tokenizer)
        self._first = first
        self._phases = phases

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        tokenizer = Tokenizer.from_file(self._file)
        done = self._first % TOGETHER
        number = self._first - done
        yield from self._group(tokenizer, number)[done:]
        while True:
            number += TOGETHER
            yield from self._group(tokenizer, number)

    def _group(self, tokenizer: Tokenizer, number: int) -> list[dict[str, torch.Tensor]]:
        """Make some batches, with pages sorted by length to reduce padding."""
        phase = phase_at(number, self._phases)
        random = np.random.default_rng([_STREAM, number])
        side = int(random.choice(list(phase.views), p=_shares(list(phase.views.values()))))
        size = phase.pages * max(1, round((448 / side) ** 2))
        examples = [_example(tokenizer, random, phase, side) for _ in range(size * TOGETHER)]
        examples.sort(key=lambda e: e.length)
        groups = [examples[i * size : (i + 1) * size] for i in range(TOGETHER)]
        random.shuffle(groups)  # type: ignore[arg-type]
        return [collate(group) for group in groups]


def _shares(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def _example(tokenizer: Tokenizer, random: np.random.Generator, phase: Phase, side: int) -> Example:
    sheet = Sheet(())
    while not any(part.lines for part in sheet.parts):
        sheet = lay_out(random, int(random.choice(4, p=_shares(phase.levels))))
    view = prepare(pixels(sheet, random), Mode("", side)).global_view
    tasks = random.choice(3, _QUESTIONS, replace=False, p=_shares(phase.tasks))
    asked = (question(sheet, int(task), random) for task in tasks)
    answers = tuple(_answer(tokenizer, *pair, side // 64) for pair in asked)
    return Example(view, _map(sheet, side), answers)


def _answer(tokenizer: Tokenizer, prompt: Prompt, target: Target, side: int) -> Answer:
    after = tokenizer.encode(prompt.text.removeprefix("<image>"), add_special_tokens=False).ids
    encoded = tokenizer.encode(target.text, add_special_tokens=False)
    ids = np.array([*after, *encoded.ids, 1])
    cells, places = np.full((len(ids), 2), -1), np.full((len(ids), 2), -1)
    cells[len(after) : -1], places[len(after) : -1] = _where(target, encoded.offsets, side)
    return Answer(ids, np.arange(len(ids)) < len(after), cells, places)


def question(sheet: Sheet, task: int, random: np.random.Generator) -> tuple[Prompt, Target]:
    """Prompt and answer of a task: 0 free OCR, 1 Markdown, 2 locating a phrase."""
    if task == 0:
        return prompt_named("free_ocr"), free_ocr(sheet)
    if task == 1:
        return prompt_named("markdown"), markdown(sheet)
    lines = [line for part in sheet.parts for line in part.lines]
    line = lines[int(random.integers(len(lines)))]
    words = len(line.text.split(" "))
    first = int(random.integers(words))
    phrase, target = locate(line, slice(first, min(words, first + int(random.integers(1, 4)))))
    return prompt_named(f"locate:{phrase}"), target


def _where(
    target: Target, offsets: list[tuple[int, int]], side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions on the page of the letters of each token; -1 for none.

    Returns:
        The vision tokens of the first and last letter, and column and row of the first one.
    """
    points = np.array(target.points, np.float64).reshape(-1, 2)
    known = ~np.isnan(points[:, 0])
    column, row = np.nan_to_num(np.clip(points * side, 0, side - 1)).astype(np.int64).T
    index = row * (side + 1) + column
    grid = np.nan_to_num(points * (SIDE / COLUMN, SIDE / ROW)).astype(np.int64)
    cells, places = np.full((len(offsets), 2), -1), np.full((len(offsets), 2), -1)
    for number, (start, end) in enumerate(offsets):
        inside = np.flatnonzero(known[start:end])
        if len(inside):
            cells[number] = index[start + inside[0]], index[start + inside[-1]]
            places[number] = grid[start + inside[0]]
    return cells, places


def _map(sheet: Sheet, side: int) -> NDArray[np.int64]:
    """Map of characters by their centres, ``[patches down, ACROSS * patches across]``."""
    down = side // PATCH
    drawn = np.zeros((down, down * ACROSS), np.int64)
    for char, x, y in glyphs(sheet):
        row, column = int(y * down), int(x * down * ACROSS)
        drawn[min(row, down - 1), min(column, down * ACROSS - 1)] = ord(char) - 32
    return drawn


def collate(examples: list[Example]) -> dict[str, torch.Tensor]:
    """Examples of one view size as tensors, padded at the end with unscored ids."""
    answers = [answer for example in examples for answer in example.answers]
    longest = max(example.length for example in examples)

    def padded(name: str, value: Any) -> torch.Tensor:
        rows = [getattr(answer, name) for answer in answers]
        out = np.full((len(rows), longest, *rows[0].shape[1:]), value, rows[0].dtype)
        for place, row in zip(out, rows, strict=True):
            place[: len(row)] = row
        return torch.from_numpy(out)

    pages = [number for number, example in enumerate(examples) for _ in example.answers]
    return {
        "pixels": torch.from_numpy(np.stack([example.view for example in examples])),
        "characters": torch.from_numpy(np.stack([e.characters for e in examples])),
        "pages": torch.tensor(pages),
        "ids": padded("ids", 1),
        "silent": padded("silent", True),
        "cells": padded("cells", -1),
        "places": padded("places", -1),
    }
