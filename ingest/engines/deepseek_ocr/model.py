"""Loads DeepSeek-OCR, and encodes and decodes pages with it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.config import KernelPolicy
from ...core.errors import OpticalRagError
from ...core.modes import Mode
from ...core.vision import DecodeRequest, Transcript, VisionTokens
from .checkpoint.checkpoint import open_checkpoint
from .checkpoint.locate import DEFAULT_MODEL
from .checkpoint.tokenizer import Tokenizer
from .checkpoint.weights import load_network
from .decoder.decoder import Decoder
from .decoder.ngram import NoRepeat
from .device.runtime import Precision, plan_runtime, probe_machine
from .encoder.encoder import Encoder, Origin
from .encoder.preprocess import PREPROCESSING_VERSION, prepare

__all__ = ["DeepSeekOcr"]

_log = logging.getLogger(__name__)


class DeepSeekOcr:
    """DeepSeek-OCR, loaded.

    Args:
        source: a folder with the released files, or a hub id.
        revision: commit on the hub; None for the commit that this version of the package knows.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        precision: ``"auto"``, or ``"float32"`` to reproduce reference numbers.
        rule: no-repeat n-gram rule of the decoder.
        kernels: see :func:`.kernels.dispatch.choose_kernels`.

    Attributes:
        name: hub id, or name of the folder.
        weights: fingerprint of the weights.
        runtime: device and precisions.
        network: the model of transformers.

    Raises:
        ModelNotFound: files are missing.
        CheckpointMismatch: the files are not those of this model.
        OutOfMemory: the weights do not fit into memory.
        ConfigError: the device does not exist.
        MissingExtra: the ``gpu`` extra is not installed.

    Example:
        >>> model = DeepSeekOcr("models/DeepSeek-OCR")
        >>> (tokens,) = model.encode([pixels], mode_named("base"))
        >>> (answer,) = model.decode([DecodeRequest(tokens, prompt_named("markdown"))])
        >>> answer.text
    """

    def __init__(
        self,
        source: str | Path = DEFAULT_MODEL,
        *,
        revision: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        rule: NoRepeat | None = None,
        kernels: KernelPolicy = "auto",
    ) -> None:
        checkpoint = open_checkpoint(source, revision)
        self.runtime = plan_runtime(probe_machine(), device, precision)
        self._family = checkpoint.shape.family
        self.tokenizer = Tokenizer(checkpoint.folder, self._family.special)
        self.name = checkpoint.name
        self.weights = checkpoint.fingerprint
        self.network = load_network(checkpoint, self.runtime)
        from .encoder.sam_attention import replace_attention
        from .kernels.dispatch import choose_kernels

        self.kernels = choose_kernels(self.runtime.device, kernels)
        self.kernels.install(self.network)
        replace_attention(self.network.model.vision_tower, self.kernels)
        origin = Origin(self.name, self.weights)
        self._encoder = Encoder(self.network, origin, self.runtime.decoder)
        self.decoder = Decoder(
            self.network, self.tokenizer, self.weights, rule, kernels=self.kernels
        )
        _log.info("%s (%s) on %s", self.name, self.weights, self.runtime)
        if self._family.caution:
            _log.warning("%s %s", self.name, self._family.caution)

    @property
    def preprocessing(self) -> str:
        """Version of the preprocessing of pixels in :meth:`encode`."""
        return PREPROCESSING_VERSION

    @property
    def modes(self) -> Mapping[str, Mode]:
        """The modes (resolutions) of this model, by name."""
        return self._family.modes

    @property
    def compression(self) -> float:
        """Text tokens per vision token up to which the model reads well."""
        return self._family.compression

    def encode(self, pages: Sequence[NDArray[np.uint8]], mode: Mode) -> list[VisionTokens]:
        """Encode page images as displayed. Shape: each is uint8 ``[height, width, 3]``, RGB.

        Raises:
            PageRenderFailed: an array is not a page image.
            OutOfMemory: not even one view fits the device.
        """
        return self._encoder.encode([prepare(pixels, mode) for pixels in pages])

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
        """Decode pages together; see :meth:`.decoder.Decoder.decode`."""
        return self.decoder.decode(requests)

    def stream(
        self, requests: Iterable[DecodeRequest | None], most: int | None = None
    ) -> Iterator[tuple[int, Transcript | OpticalRagError]]:
        """Decode pages as they come, ``most`` at a time; see :meth:`.decoder.Decoder.stream`."""
        return self.decoder.stream(requests, self.decoder.make_plan(most))

    def first_logits(self, request: DecodeRequest) -> NDArray[np.float32]:
        """Compute the scores of an answer's first token, to compare with reference numbers."""
        return self.decoder.first_logits(request)

    def constants(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the newline and separator rows that the decoder inserts between vision tokens."""
        return self.decoder.constants()

    def count_text_tokens(self, text: str) -> int:
        """Count the tokens of a text in the model's vocabulary."""
        return len(self.tokenizer.encode(text))
