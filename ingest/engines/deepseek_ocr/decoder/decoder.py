"""The decoder's interface: requests of vision tokens and a prompt in, transcripts out.

The decoder never sees pixels, so an answer can be decoded again from cached tokens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ....core.errors import ConfigError, EngineError, OpticalRagError
from ....core.vision import DecodeRequest, Transcript
from ..checkpoint.tokenizer import Tokenizer
from ..device.runtime import free_bytes
from .inputs import lay_out_page
from .loops import LoopDetector, RepetitionDetector, cycle_start
from .ngram import NoRepeat
from .plan import DecodePlan, plan_slots

if TYPE_CHECKING:
    from torch import Tensor

    from ..kernels.dispatch import Kernels
    from .scheduler import Page, Scheduler

__all__ = ["Decoder"]

_REPORTED: Final = 200  # characters of a prompt in an error message
_TYPICAL: Final = 1000  # ids expected of a page without an estimate
_GPU_SLOTS: Final = 256  # more gain little: the KV cache, not the weights, then dominates reads
_CPU_SLOTS: Final = 4  # the KV cache of a page takes up to half a gigabyte
_GPU_GUESSES: Final = 7
_CPU_GUESSES: Final = 3
_GPU_BREAK_EVEN: Final = 0.2  # eight ids need the same reads of weights and KV cache as one
_CPU_BREAK_EVEN: Final = 1.0  # more ids reach more experts, and each costs time
# Requests are read for 1/16 of the slots at a time: the pages drawn for them stall decoding.
_LOOKAHEAD: Final = 16
_LAG: Final = 2  # enough for the host to read one step while the device computes the next


class Decoder:
    """Decodes vision tokens with the language model; ``tally`` counts all work so far.

    Args:
        network: transformers' ``UnlimitedOcrForConditionalGeneration``.
        tokenizer: of the same checkpoint.
        weights: fingerprint of the weights; tokens of other weights are refused.
        rule: no-repeat n-gram rule; None for the published one.
        is_loop: stops a page whose ids repeat; None for :class:`.loops.RepetitionDetector`.
        kernels: for the device; None means plain PyTorch.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Tokenizer,
        weights: str,
        rule: NoRepeat | None = None,
        is_loop: LoopDetector | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        from .drafting import BlockTemplate
        from .forward import Forward
        from .greedy import Greedy
        from .scheduler import Tally
        from .step import Stepper

        self._network = network
        self._tokenizer = tokenizer
        self._weights = weights
        special = tokenizer.special
        self._is_loop = is_loop or RepetitionDetector(tokenizer.numbers, special.det[1])
        self._gpu = network.lm_head.weight.device.type == "cuda"
        self._max_slots = _GPU_SLOTS if self._gpu else _CPU_SLOTS
        self._spare: Scheduler | None = None
        self.tally = Tally()
        self._width = int(network.config.text_config.hidden_size)
        self._context = int(network.config.text_config.max_position_embeddings)
        rule = rule or NoRepeat()
        self._stepper = Stepper(
            forward=Forward(network, kernels),
            greedy=Greedy(
                NoRepeat(rule.size, min(rule.window, self._context)),
                (special.cell[1], special.cell_end[1]),
            ),
            eos=special.eos[1],
            template=BlockTemplate.of(tokenizer.encode, network.lm_head.weight.device),
        )

    def decode(
        self, requests: Sequence[DecodeRequest], plan: DecodePlan | None = None
    ) -> list[Transcript]:
        """Decode pages together, in order; without ``plan``, as fits the device.

        Raises:
            EngineError: the tokens come from other weights, or have another width.
            ConfigError: the prompt leaves no room for an answer, or the plan's longest slots are
                too short for a page and its answer.
            OutOfMemory: a single page does not fit the device.
        """
        plan = plan or self.make_plan(min(len(requests), self._max_slots) or 1)
        for request in requests:
            self._check(request)
            self._check_room(request, plan)
        answers = dict(self._run(enumerate(requests), plan, None))
        return [answers[number] for number in range(len(requests))]

    def stream(
        self, requests: Iterable[DecodeRequest | None], plan: DecodePlan | None = None
    ) -> Iterator[tuple[int, Transcript | OpticalRagError]]:
        """Decode pages as they arrive; yield the number and the transcript of each when it is done.

        A request that :meth:`decode` would refuse yields its error instead. The others continue.
        Requests are read a few at a time, when all read before have started. None means that no
        request is available now: the stream asks again while pages are under way, else it ends.

        Raises:
            OutOfMemory: a single page does not fit the device.
        """
        plan = plan or self.make_plan()
        refused: deque[tuple[int, OpticalRagError]] = deque()
        lookahead = max(1, plan.slots // _LOOKAHEAD)
        for answer in self._run(self._accepted(requests, plan, refused), plan, lookahead):
            yield answer
            while refused:
                yield refused.popleft()
        yield from refused

    def make_plan(self, pages: int | None = None) -> DecodePlan:
        """Plan slots for ``pages`` at a time (None: the maximum); fewer if memory is short."""
        weight = self._network.lm_head.weight
        guesses = _GPU_GUESSES if self._gpu else _CPU_GUESSES
        break_even = _GPU_BREAK_EVEN if self._gpu else _CPU_BREAK_EVEN
        forward = self._stepper.forward
        token = 2 * forward.layers * self._width * weight.element_size()
        # Scores in float32, and a copy of them while ids are chosen.
        row = 2 * 4 * (1 + guesses) * forward.vocabulary
        free = free_bytes(str(weight.device))
        classes = plan_slots(pages or self._max_slots, self._context + guesses, token, row, free)
        return DecodePlan(classes, guesses, break_even, lag=_LAG if self._gpu else 0)

    def first_logits(self, request: DecodeRequest) -> NDArray[np.float32]:
        """Scores of an answer's first id by transformers' own forward pass, ``[vocabulary]``."""
        import torch

        self._check(request)
        with torch.inference_mode(), self._stepper.forward.on_device():
            output = self._network(inputs_embeds=self._embed(request)[None], logits_to_keep=1)
            scores: NDArray[np.float32] = output.logits[0, -1].float().cpu().numpy()
        return scores

    def constants(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the newline and separator embeddings, ``[dim]`` each."""
        inner = self._network.model
        newline, separator = inner.image_newline, inner.view_separator
        return newline.detach().float().cpu().numpy(), separator.detach().float().cpu().numpy()

    def prompt_length(self, request: DecodeRequest) -> int:
        """Count the tokens of the page and of the prompt."""
        ids = self._tokenizer.prompt(request.prompt.text)
        return len(ids.before) + request.tokens.decoder_count + len(ids.after)

    def _check(self, request: DecodeRequest) -> None:
        if request.tokens.weights != self._weights:
            raise EngineError(
                f"vision tokens come from {request.tokens.model} ({request.tokens.weights}), but"
                f" this model is {self._weights}: only the weights that encoded a page can decode"
                " it. Load those weights, or encode the page again"
            )
        width = request.tokens.global_view.shape[1]
        if width != self._width:
            raise EngineError(
                f"vision tokens have width {width}, but this model's have {self._width}; encode"
                " the page again"
            )
        if request.max_tokens is not None and request.max_tokens < 1:
            raise ConfigError(f"invalid max_tokens {request.max_tokens}: use at least 1")
        if self._budget(request) < 1:
            raise ConfigError(
                f"no room for an answer: the page and the prompt"
                f" {request.prompt.text!r:.{_REPORTED}} fill the context of {self._context} tokens;"
                " shorten the prompt"
            )

    def _check_room(self, request: DecodeRequest, plan: DecodePlan) -> None:
        # Writing past the end of a slot corrupts other slots on a GPU, or fails with a device-side
        # assertion.
        needed = self.prompt_length(request) + self._budget(request) + plan.guesses
        if needed > plan.classes[-1].length:
            raise ConfigError(
                f"slots too short: the page, its answer and {plan.guesses} guesses take {needed}"
                f" tokens, but the longest slots have {plan.classes[-1].length}; use longer slots,"
                " or lower max_tokens"
            )

    def _budget(self, request: DecodeRequest) -> int:
        room = self._context - self.prompt_length(request)
        return room if request.max_tokens is None else min(room, request.max_tokens)

    def _accepted(
        self,
        requests: Iterable[DecodeRequest | None],
        plan: DecodePlan,
        refused: deque[tuple[int, OpticalRagError]],
    ) -> Iterator[tuple[int, DecodeRequest] | None]:
        numbers = count()
        for request in requests:
            if request is None:
                yield None
                continue
            number = next(numbers)
            try:
                self._check(request)
                self._check_room(request, plan)
            except OpticalRagError as error:  # must not end the stream: others are running
                refused.append((number, error))
            else:
                yield number, request

    def _run(
        self,
        requests: Iterable[tuple[int, DecodeRequest] | None],
        plan: DecodePlan,
        lookahead: int | None,
    ) -> Iterator[tuple[int, Transcript]]:
        running: dict[int, DecodeRequest] = {}
        scheduler = self._take_scheduler(plan)
        for page in scheduler.run(self._pages(requests, running), lookahead):
            yield page.number, self._transcript(running.pop(page.number), page)
        self._spare = scheduler if plan.graphs else None  # its CUDA graphs belong to its slots

    def _take_scheduler(self, plan: DecodePlan) -> Scheduler:
        from .scheduler import Scheduler

        # Taken out while in use: another thread, or a second stream in this one, gets its own.
        spare, self._spare = self._spare, None
        if spare and spare.plan == plan:
            return spare
        return Scheduler(self._stepper, plan, self._is_loop, self._context // 2, self.tally)

    def _pages(
        self,
        requests: Iterable[tuple[int, DecodeRequest] | None],
        running: dict[int, DecodeRequest],
    ) -> Iterator[Page | None]:
        for numbered in requests:
            if numbered:
                number, request = numbered
                running[number] = request
            yield self._page(*numbered) if numbered else None

    def _page(self, number: int, request: DecodeRequest) -> Page:
        from .scheduler import Page

        budget, eos = self._budget(request), self._stepper.eos
        return Page(
            number=number,
            prompt_length=self.prompt_length(request),
            embed=partial(self._embed, request),
            budget=budget,
            expected=min(request.expected_tokens or _TYPICAL, budget),
            # The end-of-sentence id is never guessed, so the draft cannot hold it.
            draft=tuple(i for i in self._tokenizer.encode(request.draft) if i != eos),
        )

    def _embed(self, request: DecodeRequest) -> Tensor:
        """Make the decoder's input, the page between the parts of the prompt: ``[tokens, dim]``."""
        import torch

        from ..device.transfer import upload

        inner = self._network.model
        table = self._network.get_input_embeddings()
        ids = self._tokenizer.prompt(request.prompt.text)
        prompt = upload(torch.tensor([*ids.before, *ids.after]), table.weight.device)
        before, after = table(prompt).split([len(ids.before), len(ids.after)])
        newline = inner.image_newline.to(table.weight)
        page = lay_out_page(request.tokens, newline, inner.view_separator)
        return torch.cat([before, page, after])

    def _transcript(self, request: DecodeRequest, page: Page) -> Transcript:
        kept = page.ids[: cycle_start(page.ids)] if page.reason == "loop" else page.ids
        return Transcript(
            ids=tuple(kept),
            text=self._tokenizer.decode(kept),
            finish_reason=page.reason,
            prompt_name=request.prompt.name,
            prompt_text=request.prompt.text,
            vision_tokens=request.tokens.count,
            decoder_tokens=request.tokens.decoder_count,
            seconds=page.seconds,
            repeated=len(page.ids) - len(kept),
        )
