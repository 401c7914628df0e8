"""Vision tokens and a prompt to text: greedy, many pages of any length at a time.

The decoder never sees a page: whatever it writes can be written again from stored tokens.
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
from .inputs import pack
from .loops import LoopDetector, RepetitionDetector, cycle_start
from .ngram import NoRepeat
from .plan import DecodePlan, plan_slots

if TYPE_CHECKING:
    from torch import Tensor

    from ..kernels.dispatch import Kernels
    from .scheduler import Page, Scheduler

__all__ = ["Decoder"]

_REPORTED: Final = 200  # characters of a value in a message
_TYPICAL: Final = 1000  # ids of a page of which nothing is known
_GPU_SLOTS: Final = 256  # more gain little: keys, not weights, are then most of what is read
_CPU_SLOTS: Final = 4  # keys of a page fill half a gigabyte of main memory at worst
_GPU_GUESSES: Final = 7
_CPU_GUESSES: Final = 3
_GPU_GAIN: Final = 0.2  # the same weights and keys are read for 8 ids as for one
_CPU_GAIN: Final = 1.0  # more ids reach more experts, and all are computed
_PULL: Final = 16  # one in so many slots is asked for at a time: drawing pages stops the others
_LAG: Final = 2  # steps: enough for the host to read one while the device computes the next


class Decoder:
    """Runs the language model of a loaded model. ``tally`` counts what all decoding so far took.

    Args:
        model: transformers' ``UnlimitedOcrForConditionalGeneration``.
        tokenizer: of the same checkpoint.
        weights: fingerprint of the weights; tokens of others are refused.
        rule: no-repeat n-gram rule.
        is_loop: when a page goes round in circles.
        kernels: of the device; plain torch if not given.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        weights: str,
        rule: NoRepeat | None = None,
        is_loop: LoopDetector | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        from .drafting import Marks
        from .forward import Forward
        from .greedy import Greedy
        from .scheduler import Tally
        from .step import Stepper

        self._model = model
        self._tokenizer = tokenizer
        self._weights = weights
        special = tokenizer.special
        self._is_loop = is_loop or RepetitionDetector(tokenizer.numbers, special.det[1])
        self._gpu = model.lm_head.weight.device.type == "cuda"
        self._most = _GPU_SLOTS if self._gpu else _CPU_SLOTS
        self._spare: Scheduler | None = None
        self.tally = Tally()
        self._width = int(model.config.text_config.hidden_size)
        self._context = int(model.config.text_config.max_position_embeddings)
        rule = rule or NoRepeat()
        self._stepper = Stepper(
            forward=Forward(model, kernels),
            greedy=Greedy(
                NoRepeat(rule.size, min(rule.window, self._context)),
                (special.cell[1], special.cell_end[1]),
            ),
            eos=special.eos[1],
            marks=Marks.of(tokenizer.encode, model.lm_head.weight.device),
        )

    def decode(
        self, requests: Sequence[DecodeRequest], plan: DecodePlan | None = None
    ) -> list[Transcript]:
        """Decode pages together: one transcript per request, in order.

        Args:
            requests: the pages.
            plan: slots and pace; None for what the device holds.

        Raises:
            EngineError: tokens of other weights, or of another width.
            ConfigError: a prompt that leaves no room for an answer, or a plan whose longest slots
                do not hold a page with its answer.
            OutOfMemory: not even one page fits the device.
        """
        plan = plan or self.plan(min(len(requests), self._most) or 1)
        for request in requests:
            self._check(request)
            self._check_room(request, plan)
        answers = dict(self._run(enumerate(requests), plan, None))
        return [answers[number] for number in range(len(requests))]

    def stream(
        self, requests: Iterable[DecodeRequest | None], plan: DecodePlan | None = None
    ) -> Iterator[tuple[int, Transcript | OpticalRagError]]:
        """Decode pages as they come and yield each when it has ended, with its number.

        ``requests`` is asked for a few more when all it gave have started. None in it says that
        there is nothing now: it is asked again while pages are under way, and the stream ends if
        none is. Arguments as those of :meth:`decode`. A request that it would refuse comes back as
        the error; the others go on.

        Raises:
            OutOfMemory: not even one page fits the device.
        """
        plan = plan or self.plan()
        refused: deque[tuple[int, OpticalRagError]] = deque()
        ahead = max(1, plan.slots // _PULL)
        for answer in self._run(self._accepted(requests, plan, refused), plan, ahead):
            yield answer
            while refused:
                yield refused.popleft()
        yield from refused

    def plan(self, pages: int | None = None) -> DecodePlan:
        """For so many pages at a time (None: by device), or as many as fit."""
        weight = self._model.lm_head.weight
        guesses, gain = (_GPU_GUESSES, _GPU_GAIN) if self._gpu else (_CPU_GUESSES, _CPU_GAIN)
        forward = self._stepper.forward
        token = 2 * forward.layers * self._width * weight.element_size()
        # Scores, and a copy while the best are looked for.
        row = 2 * 4 * (1 + guesses) * forward.vocabulary
        free = free_bytes(str(weight.device))
        classes = plan_slots(pages or self._most, self._context + guesses, token, row, free)
        return DecodePlan(classes, guesses, gain, lag=_LAG if self._gpu else 0)

    def first_logits(self, request: DecodeRequest) -> NDArray[np.float32]:
        """Scores of the first token of an answer. Shape: ``[vocabulary]``."""
        import torch

        self._check(request)
        with torch.inference_mode(), self._stepper.forward.launching():
            output = self._model(inputs_embeds=self._embed(request)[None], logits_to_keep=1)
            scores: NDArray[np.float32] = output.logits[0, -1].float().cpu().numpy()
        return scores

    def constants(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The rows that are the same on every page: newline and separator, ``[dim]`` each."""
        inner = self._model.model
        newline, separator = inner.image_newline, inner.view_separator
        return newline.detach().float().cpu().numpy(), separator.detach().float().cpu().numpy()

    def length(self, request: DecodeRequest) -> int:
        """Tokens of a page and its prompt, which fill a slot before the first id of the answer."""
        ids = self._tokenizer.prompt(request.prompt.text)
        return len(ids.before) + request.tokens.decoder_count + len(ids.after)

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

    def _check_room(self, request: DecodeRequest, plan: DecodePlan) -> None:
        # Behind a slot's end a GPU writes over other slots, or stops altogether.
        needed = self.length(request) + self._budget(request) + plan.guesses
        if needed > plan.classes[-1].length:
            raise ConfigError(
                f"the page, its answer and {plan.guesses} guesses take {needed} tokens, the longest"
                f" slots have {plan.classes[-1].length}; make these longer, or max_tokens less"
            )

    def _budget(self, request: DecodeRequest) -> int:
        room = self._context - self.length(request)
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
            if error := self._refusal(request, plan):
                refused.append((number, error))
            else:
                yield number, request

    def _refusal(self, request: DecodeRequest, plan: DecodePlan) -> OpticalRagError | None:
        try:
            self._check(request)
            self._check_room(request, plan)
        except OpticalRagError as error:  # the request's own: others are under way
            return error
        return None

    def _run(
        self,
        requests: Iterable[tuple[int, DecodeRequest] | None],
        plan: DecodePlan,
        ahead: int | None,
    ) -> Iterator[tuple[int, Transcript]]:
        running: dict[int, DecodeRequest] = {}
        scheduler = self._scheduler(plan)
        for page in scheduler.run(self._pages(requests, running), ahead):
            yield page.number, self._transcript(running.pop(page.number), page)
        self._spare = scheduler if plan.graphs else None  # recorded for these slots

    def _scheduler(self, plan: DecodePlan) -> Scheduler:
        from .scheduler import Scheduler

        # Taken, not shared: another thread, or a caller between two pages, gets one of its own.
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
            if numbered is None:
                yield None
                continue
            number, request = numbered
            running[number] = request
            yield self._page(number, request)

    def _page(self, number: int, request: DecodeRequest) -> Page:
        from .scheduler import Page

        budget = self._budget(request)
        return Page(
            number=number,
            length=self.length(request),
            embed=partial(self._embed, request),
            budget=budget,
            expected=min(request.expected_tokens or _TYPICAL, budget),
            draft=tuple(self._draft(request)),
        )

    def _draft(self, request: DecodeRequest) -> Iterator[int]:
        # The end of a page is never guessed: it is the model's to say.
        eos = self._stepper.eos
        return (i for i in self._tokenizer.encode(request.draft) if i != eos)

    def _embed(self, request: DecodeRequest) -> Tensor:
        """``[ids before + page + ids after, dim]``."""
        import torch

        from ..device.transfer import upload

        inner = self._model.model
        table = self._model.get_input_embeddings()
        ids = self._tokenizer.prompt(request.prompt.text)
        prompt = upload(torch.tensor([*ids.before, *ids.after]), table.weight.device)
        before, after = table(prompt).split([len(ids.before), len(ids.after)])
        newline = inner.image_newline.to(table.weight)
        page = pack(request.tokens, newline, inner.view_separator)
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
