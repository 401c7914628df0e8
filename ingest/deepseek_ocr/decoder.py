"""Vision tokens and a prompt to text: greedy, in batches of pages of any length.

The decoder never sees a page: whatever it writes can be written again from stored tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..config import ConfigError
from ..errors import EngineError
from ..vision import DecodeRequest, FinishReason, Transcript
from .loops import RepetitionDetector, cycle_start
from .memory import halving_on_out_of_memory
from .ngram import NoRepeat
from .packing import pack
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Decoder"]

_REPORTED: Final = 200  # characters of a value in a message


class Decoder:
    """Runs the language model of a loaded model.

    Args:
        model: transformers' ``UnlimitedOcrForConditionalGeneration``.
        tokenizer: of the same checkpoint.
        weights: fingerprint of the weights; tokens of others are refused.
        rule: no-repeat n-gram rule.
    """

    def __init__(
        self, model: Any, tokenizer: Tokenizer, weights: str, rule: NoRepeat | None = None
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._weights = weights
        self._rule = rule or NoRepeat()
        special = tokenizer.special
        self._eos = special.eos[1]
        self._free = (special.cell[1], special.cell_end[1])
        self._is_loop = RepetitionDetector(tokenizer.numbers, special.det[1])
        self._width = int(model.config.text_config.hidden_size)
        self._context = int(model.config.text_config.max_position_embeddings)

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
        """Decode a batch: one transcript per request, in order.

        Raises:
            EngineError: tokens of other weights, or of another width.
            ConfigError: a prompt that leaves no room for an answer.
            OutOfMemory: not even one page fits the device.
        """
        for request in requests:
            self._check(request)
        return halving_on_out_of_memory(self._generate, requests, "decoding a page")

    def first_logits(self, request: DecodeRequest) -> NDArray[np.float32]:
        """Scores of the first token of an answer. Shape: ``[vocabulary]``."""
        import torch

        self._check(request)
        with torch.inference_mode():
            embeds, mask = self._inputs([request])
            output = self._model(inputs_embeds=embeds, attention_mask=mask, logits_to_keep=1)
        scores: NDArray[np.float32] = output.logits[0, -1].float().cpu().numpy()
        return scores

    def constants(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The rows that are the same on every page: newline and separator, ``[dim]`` each."""
        inner = self._model.model
        newline, separator = inner.image_newline, inner.view_separator
        return newline.detach().float().cpu().numpy(), separator.detach().float().cpu().numpy()

    def _check(self, request: DecodeRequest) -> None:
        if request.tokens.weights != self._weights:
            raise EngineError(
                f"the vision tokens were made by {request.tokens.model}"
                f" ({request.tokens.weights}), this model is {self._weights}: only the weights"
                " that encoded a page can decode it. Load those, or encode the page again"
            )
        width = request.tokens.global_view.shape[1]
        if width != self._width:
            raise EngineError(
                f"the vision tokens have {width} numbers each, this model's have {self._width};"
                " encode the page again"
            )
        if self._budget(request) < 1:
            raise ConfigError(
                f"the page and the prompt {request.prompt.text!r:.{_REPORTED}} fill the context of"
                f" {self._context} tokens; shorten the prompt, or let max_tokens be at least 1"
            )

    def _budget(self, request: DecodeRequest) -> int:
        ids = self._tokenizer.prompt(request.prompt.text)
        used = len(ids.before) + request.tokens.decoder_count + len(ids.after)
        room = self._context - used
        return room if request.max_tokens is None else min(room, request.max_tokens)

    def _generate(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
        import torch
        from transformers import GenerationConfig

        from .rules import NoRepeatInWindow, RowEnds

        started = time.perf_counter()
        budgets = [self._budget(request) for request in requests]
        ends = RowEnds(self._eos, budgets, self._is_loop)
        with torch.inference_mode():
            embeds, mask = self._inputs(requests)
            written = self._model.generate(
                inputs_embeds=embeds,
                attention_mask=mask,
                generation_config=GenerationConfig(
                    do_sample=False,
                    # A bound for the library; each row ends by its own.
                    max_new_tokens=max(budgets),
                    eos_token_id=self._eos,
                    pad_token_id=self._eos,
                    use_cache=True,
                ),
                logits_processor=[NoRepeatInWindow(self._rule, self._free)],
                stopping_criteria=[ends],
            )
        seconds = time.perf_counter() - started
        rows = zip(requests, written.tolist(), ends.ends, strict=True)
        return [
            self._transcript(request, ids[:length], reason, seconds)
            for request, ids, (reason, length) in rows
        ]

    def _inputs(self, requests: Sequence[DecodeRequest]) -> tuple[Tensor, Tensor]:
        # Padded on the left, so that all rows end where generation begins.
        import torch

        rows = [self._embed(request) for request in requests]
        longest = max(len(row) for row in rows)
        embeds = rows[0].new_zeros(len(rows), longest, rows[0].shape[1])
        mask = torch.zeros(len(rows), longest, dtype=torch.long, device=embeds.device)
        for i, row in enumerate(rows):
            embeds[i, longest - len(row) :] = row
            mask[i, longest - len(row) :] = 1
        return embeds, mask

    def _embed(self, request: DecodeRequest) -> Tensor:
        """``[ids before + page + ids after, dim]``."""
        import torch

        inner = self._model.model
        table = self._model.get_input_embeddings()
        ids = self._tokenizer.prompt(request.prompt.text)
        device = table.weight.device
        before, after = (
            table(torch.tensor(part, dtype=torch.long, device=device))
            for part in (ids.before, ids.after)
        )
        newline = inner.image_newline.to(table.weight)
        page = pack(request.tokens, newline, inner.view_separator)
        return torch.cat([before, page, after])

    def _transcript(
        self, request: DecodeRequest, ids: list[int], reason: FinishReason, seconds: float
    ) -> Transcript:
        kept = ids[: cycle_start(ids)] if reason == "loop" else ids
        return Transcript(
            ids=tuple(kept),
            text=self._tokenizer.decode(kept),
            finish_reason=reason,
            prompt_name=request.prompt.name,
            prompt_text=request.prompt.text,
            vision_tokens=request.tokens.count,
            decoder_tokens=request.tokens.decoder_count,
            seconds=seconds,
        )
