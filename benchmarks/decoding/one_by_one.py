"""Decodes with transformers' own ``generate``: the reference for answers and for speed.

It applies our decoding rules in plain Python on lists of ids, as the published recipe does. A batch
is padded on the left and runs until its longest page has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from opticalrag.ingest.core.vision import DecodeRequest, FinishReason
from opticalrag.ingest.engines.deepseek_ocr.decoder.inputs import lay_out_page
from opticalrag.ingest.engines.deepseek_ocr.decoder.loops import LoopDetector, RepetitionDetector
from opticalrag.ingest.engines.deepseek_ocr.decoder.ngram import NoRepeat
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

__all__ = ["Answer", "Reference", "banned_in_window"]

_LOOK_EVERY = 32  # tokens between looks for a loop


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for a page.

    ``gaps`` holds how close the choice of each step was: the difference between the two best
    scores, or between the last chosen expert and the first one not chosen, whichever is smaller.
    """

    ids: tuple[int, ...]
    reason: FinishReason
    gaps: tuple[float, ...] = field(default=(), compare=False)


class Reference:
    """``generate`` with the rules of this package.

    Args:
        model: a loaded model.
        rule: no-repeat rule.
        is_loop: detects a page that repeats itself; the default detector if not given.
        measure: whether to record gaps.
    """

    def __init__(
        self,
        model: DeepSeekOcr,
        rule: NoRepeat | None = None,
        is_loop: LoopDetector | None = None,
        *,
        measure: bool = False,
    ) -> None:
        special = model.tokenizer.special
        self._model = model
        self._eos = special.eos[1]
        self._rule = NoRepeatInWindow(rule or NoRepeat(), (special.cell[1], special.cell_end[1]))
        self._is_loop = is_loop or RepetitionDetector(model.tokenizer.numbers, special.det[1])
        self._measure = measure

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Answer]:
        """Answer a batch, in order."""
        rows = [self._embed(request) for request in requests]
        context = self._model.network.config.text_config.max_position_embeddings
        rooms = [context - len(row) for row in rows]
        budgets = [min(r, q.max_tokens or r) for r, q in zip(rooms, requests, strict=True)]
        ends = RowEnds(self._eos, budgets, self._is_loop)
        gaps = Gaps(self._model.network)
        with torch.inference_mode(), gaps.watching(self._measure):
            embeds, mask = _padded(rows)
            written = self._model.network.generate(
                inputs_embeds=embeds,
                attention_mask=mask,
                generation_config=GenerationConfig(
                    do_sample=False,
                    # An upper bound for the library; each row has its own limit.
                    max_new_tokens=max(budgets),
                    eos_token_id=self._eos,
                    pad_token_id=self._eos,
                    use_cache=True,
                ),
                logits_processor=[self._rule, gaps],
                stopping_criteria=[ends],
            ).tolist()
        return [
            Answer(tuple(ids[:length]), reason, tuple(gaps.steps))
            for ids, (reason, length) in zip(written, ends.ends, strict=True)
        ]

    def _embed(self, request: DecodeRequest) -> torch.Tensor:
        network = self._model.network
        table = network.get_input_embeddings()
        ids = self._model.tokenizer.prompt(request.prompt.text)
        with torch.inference_mode():
            before, after = (
                table(torch.tensor(part, device=table.weight.device))
                for part in (ids.before, ids.after)
            )
            newline = network.model.image_newline.to(table.weight)
            page = lay_out_page(request.tokens, newline, network.model.view_separator)
            return torch.cat([before, page, after])


def _padded(rows: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    # Pad on the left, so that generation starts at the same position in all rows.
    longest = max(map(len, rows))
    embeds = rows[0].new_zeros(len(rows), longest, rows[0].shape[1])
    mask = torch.zeros(len(rows), longest, dtype=torch.long, device=embeds.device)
    for i, row in enumerate(rows):
        embeds[i, longest - len(row) :] = row
        mask[i, longest - len(row) :] = 1
    return embeds, mask


def banned_in_window(
    ids: Sequence[int], size: int, window: int, allowed: Collection[int] = ()
) -> set[int]:
    """The published no-repeat rule in plain Python.

    Args:
        ids: generated ids; the prompt does not count.
        size: ids of an n-gram; 1 bans nothing, as in the published code.
        window: how many of the last ids are searched for n-grams.
        allowed: ids that are never banned, such as table cells.

    Returns:
        Ids that would complete an n-gram a second time within the window.
    """
    if size < 2 or len(ids) < size:
        return set()
    recent = list(ids[max(0, len(ids) - window) :])
    prefix = list(ids[1 - size :])
    starts = range(len(recent) - size + 1)
    again = {recent[i + size - 1] for i in starts if recent[i : i + size - 1] == prefix}
    return again - set(allowed)


class NoRepeatInWindow(LogitsProcessor):  # type: ignore[misc]  # no annotations
    """Bans ids that would repeat an n-gram within a window."""

    def __init__(self, rule: NoRepeat, allowed: Collection[int]) -> None:
        self._rule = rule
        self._allowed = frozenset(allowed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Set banned ids to minus infinity. Shapes ``[rows, ids]``, ``[rows, vocab]``."""
        if input_ids.shape[1] < self._rule.size:
            return scores
        scores = scores.clone()
        recent = input_ids[:, -self._rule.window :].tolist()
        for row, ids in enumerate(recent):
            banned = banned_in_window(ids, self._rule.size, self._rule.window, self._allowed)
            if banned:
                scores[row, list(banned)] = -torch.inf
        return scores


class Gaps(LogitsProcessor):  # type: ignore[misc]  # no annotations
    """Records how close the choices are, over all rows of a batch, without changing scores."""

    def __init__(self, network: Any) -> None:
        layers = network.model.language_model.layers
        self._gates = [layer.mlp.gate for layer in layers if hasattr(layer.mlp, "gate")]
        self._routes: list[float] | None = None
        self.steps: list[float] = []

    @contextmanager
    def watching(self, wanted: bool) -> Iterator[None]:
        """Hook the routers while the network runs."""
        self._routes = [] if wanted else None
        hooks = [gate.register_forward_hook(self._route) for gate in self._gates if wanted]
        yield
        for hook in hooks:
            hook.remove()

    def _route(self, gate: Any, inputs: object, output: tuple[torch.Tensor, ...]) -> None:
        best = output[0].topk(gate.top_k + 1).values
        if self._routes is not None:
            self._routes.append(float((best[:, -2] - best[:, -1]).min()))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores unchanged."""
        if self._routes is not None:
            best = scores.topk(2).values
            self.steps.append(min(float((best[:, 0] - best[:, 1]).min()), *self._routes))
            self._routes.clear()
        return scores


class RowEnds(StoppingCriteria):  # type: ignore[misc]  # no annotations
    """Ends each row at its end-of-sentence token, at its budget, or in a loop.

    ``ends`` holds, per row, the reason and the number of ids at its end. Padding that the library
    appends to a finished row is ignored.
    """

    def __init__(self, eos: int, budgets: Sequence[int], is_loop: LoopDetector) -> None:
        self._eos = eos
        self._is_loop = is_loop
        self._open = set(range(len(budgets)))
        self.ends: list[tuple[FinishReason, int]] = [("length", budget) for budget in budgets]

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Whether each row has ended. Shapes ``[rows, ids]`` to ``[rows]``."""
        length = input_ids.shape[1]
        last = input_ids[:, -1].tolist()
        for row in sorted(self._open):
            if last[row] == self._eos:
                self.ends[row] = "eos", length - 1
            elif length % _LOOK_EVERY == 0 and self._is_loop(input_ids[row].tolist()):
                self.ends[row] = "loop", length
            elif length < self.ends[row][1]:
                continue
            self._open.remove(row)
        ended = [row not in self._open for row in range(len(last))]
        return torch.tensor(ended, device=input_ids.device)
