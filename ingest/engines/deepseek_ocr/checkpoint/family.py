"""The models that this package runs, and the checks of their config.json.

:func:`read_shape` turns a released configuration into a :class:`ModelShape`. This module opens no
files and does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....core.errors import CheckpointMismatch
from ....core.modes import MODES, TARGET_COMPRESSION, Mode

__all__ = [
    "FAMILIES",
    "PUBLISHED",
    "TINY_SYNTHETIC",
    "ClipShape",
    "DecoderShape",
    "Family",
    "ModelShape",
    "SamShape",
    "SpecialTokens",
    "read_shape",
]


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Text and id of each token that the code itself uses."""

    bos: tuple[str, int] = ("<｜begin▁of▁sentence｜>", 0)
    eos: tuple[str, int] = ("<｜end▁of▁sentence｜>", 1)
    image: tuple[str, int] = ("<image>", 128815)
    det: tuple[str, int] = ("<|det|>", 128818)
    cell: tuple[str, int] = ("<td>", 128821)
    cell_end: tuple[str, int] = ("</td>", 128822)


@dataclass(frozen=True, slots=True)
class Family:
    """A model and what its config.json must say."""

    name: str
    repo: str  # Hugging Face repository; empty if it is not published
    revision: str  # pinned commit of the repository
    model_type: str
    architecture: str
    # Configuration values that this code assumes. Another value is refused. A missing one is
    # accepted, because these are the defaults of the published code.
    fixed: Mapping[str, object]
    special: SpecialTokens = SpecialTokens()
    modes: Mapping[str, Mode] = field(default_factory=lambda: MODES)  # its training resolutions
    compression: float = TARGET_COMPRESSION  # text tokens per vision token that it reads well
    caution: str = ""  # logged when it is loaded, if not empty


DEEPSEEK_OCR = Family(
    name="deepseek_ocr",
    repo="deepseek-ai/DeepSeek-OCR",
    # The commit that public reproductions of the model use.
    revision="9f30c71f441d010e5429c532364a86705536c53a",
    model_type="deepseek_vl_v2",
    architecture="DeepseekOCRForCausalLM",
    # Where config.json has no value: class defaults of the published configuration_deepseek_v2.py.
    fixed={
        "use_mla": False,
        "q_lora_rank": None,
        "kv_lora_rank": None,
        "topk_method": "greedy",
        "n_group": 1,
        "topk_group": 1,
        "scoring_func": "softmax",
        "norm_topk_prob": False,
        "routed_scaling_factor": 1.0,
        "moe_layer_freq": 1,
        "hidden_act": "silu",
        "attention_bias": False,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
)
# The same architecture, small enough for this repository; trained by benchmarks/tiny.
TINY_SYNTHETIC = Family(
    name="tiny_synthetic",
    repo="",
    revision="",
    model_type="opticalrag_tiny_synthetic",
    architecture="DeepseekOCRForCausalLM",
    fixed=DEEPSEEK_OCR.fixed,
    special=SpecialTokens(
        image=("<image>", 3), det=("<|det|>", 4), cell=("<td>", 5), cell_end=("</td>", 6)
    ),
    # The released names, with views sized for pages of a few hundred characters.
    modes={
        mode.name: mode
        for mode in (Mode("tiny", 128), Mode("small", 192), Mode("base", 320), Mode("large", 448))
    },
    compression=2.0,
    caution=(
        "reads only synthetic pages like those it was trained on (see its README.md); its output"
        " for other pages is meaningless"
    ),
)
PUBLISHED: tuple[Family, ...] = (DEEPSEEK_OCR,)
FAMILIES: tuple[Family, ...] = (*PUBLISHED, TINY_SYNTHETIC)


@dataclass(frozen=True, slots=True)
class SamShape:
    """Sizes of the SAM encoder, which reads the pixels."""

    image_size: int  # side of the views that its position tables were trained for
    width: int
    heads: int
    layers: int
    global_layers: tuple[int, ...]
    downsample: tuple[int, int]

    # Constants of the published deepencoder.py; config.json does not have them.
    patch = 16
    window = 14
    neck = 256
    mlp_ratio = 4


@dataclass(frozen=True, slots=True)
class ClipShape:
    """Sizes of the CLIP encoder, which reads the output of the SAM encoder."""

    image_size: int
    patch: int
    width: int
    heads: int
    layers: int

    mlp_ratio = 4

    @property
    def positions(self) -> int:
        """Rows of the position table: one per patch, and one for the class token."""
        return (self.image_size // self.patch) ** 2 + 1


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """Sizes of the mixture-of-experts decoder. The first ``dense_layers`` have no experts."""

    vocab: int
    hidden: int
    heads: int
    layers: int
    dense_layers: int
    dense_inner: int
    expert_inner: int
    experts: int
    experts_per_token: int
    shared_experts: int
    max_positions: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """All sizes of a model. They determine name and shape of every tensor."""

    family: Family
    sam: SamShape
    clip: ClipShape
    decoder: DecoderShape


def read_shape(config: Mapping[str, Any]) -> ModelShape:
    """Read a released config.json.

    ``auto_map``, which names Python code to download and run, is ignored.

    Raises:
        CheckpointMismatch: the configuration is of another model, or has values that this code
            does not support.
    """
    family = _family_of(config)
    language = _section(config, "language_config")
    # The published code reads the copies at top level, so they take precedence here too.
    fields = {**language, **{k: v for k, v in config.items() if k in language}}
    for key, expected in family.fixed.items():
        if key in fields and fields[key] != expected:
            raise _refuse(key, fields[key], f"expected {expected!r} for {family.name}")
    shape = ModelShape(family, _sam(config), _clip(config), _decoder(fields))
    _check_projector(_section(config, "projector_config"), shape)
    return shape


def _family_of(config: Mapping[str, Any]) -> Family:
    architectures = config.get("architectures")
    for family in FAMILIES:
        named = isinstance(architectures, list) and family.architecture in architectures
        if config.get("model_type") == family.model_type and named:
            return family
    known = ", ".join(f"{f.model_type} / {f.architecture} ({f.repo or f.name})" for f in FAMILIES)
    raise CheckpointMismatch(
        f"unsupported model: config.json has model_type {config.get('model_type')!r} with"
        f" architectures {architectures!r}; use the files of {known}"
    )


def _sam(config: Mapping[str, Any]) -> SamShape:
    vision = _section(config, "vision_config")
    sizes = _section(_section(vision, "width"), "sam_vit_b")
    layers = _integer(sizes, "layers", 1, 64)
    first, second = _integers(sizes, "downsample_channels", 1, 8192, 2, exactly=True)
    shape = SamShape(
        image_size=_integer(vision, "image_size", 64, 4096),
        width=_integer(sizes, "width", 1, 8192),
        heads=_integer(sizes, "heads", 1, 128),
        layers=layers,
        global_layers=_integers(sizes, "global_attn_indexes", 0, layers - 1, 64),
        downsample=(first, second),
    )
    if shape.image_size % 64:
        raise _refuse("vision_config.image_size", shape.image_size, "expected a multiple of 64")
    _check_heads("sam_vit_b", shape.width, shape.heads)
    return shape


def _clip(config: Mapping[str, Any]) -> ClipShape:
    sizes = _section(_section(_section(config, "vision_config"), "width"), "clip-l-14-224")
    shape = ClipShape(
        image_size=_integer(sizes, "image_size", 1, 4096),
        patch=_integer(sizes, "patch_size", 1, 512),
        width=_integer(sizes, "width", 1, 8192),
        heads=_integer(sizes, "heads", 1, 128),
        layers=_integer(sizes, "layers", 1, 128),
    )
    _check_heads("clip-l-14-224", shape.width, shape.heads)
    return shape


def _decoder(fields: Mapping[str, Any]) -> DecoderShape:
    layers = _integer(fields, "num_hidden_layers", 1, 128)
    experts = _integer(fields, "n_routed_experts", 1, 1024)
    shape = DecoderShape(
        vocab=_integer(fields, "vocab_size", 1, 1 << 20),
        hidden=_integer(fields, "hidden_size", 1, 1 << 15),
        heads=_integer(fields, "num_attention_heads", 1, 256),
        layers=layers,
        dense_layers=_integer(fields, "first_k_dense_replace", 0, layers),
        dense_inner=_integer(fields, "intermediate_size", 1, 1 << 17),
        expert_inner=_integer(fields, "moe_intermediate_size", 1, 1 << 17),
        experts=experts,
        experts_per_token=_integer(fields, "num_experts_per_tok", 1, experts),
        shared_experts=_integer(fields, "n_shared_experts", 1, 64),
        max_positions=_integer(fields, "max_position_embeddings", 1, 1 << 20),
    )
    _check_heads("language_config", shape.hidden, shape.heads)
    if (groups := fields.get("num_key_value_heads", shape.heads)) != shape.heads:
        raise _refuse("num_key_value_heads", groups, f"expected {shape.heads}, one per head")
    return shape


def _check_projector(projector: Mapping[str, Any], shape: ModelShape) -> None:
    expected = {
        "projector_type": "linear",
        "input_dim": shape.sam.downsample[1] + shape.clip.width,
        "n_embed": shape.decoder.hidden,
    }
    for key, value in expected.items():
        if projector.get(key) != value:
            raise _refuse(f"projector_config.{key}", projector.get(key), f"expected {value!r}")
    if shape.sam.downsample[1] != shape.clip.width:
        raise _refuse(
            "downsample_channels", shape.sam.downsample, "expected CLIP's width as the last"
        )


def _check_heads(where: str, width: int, heads: int) -> None:
    if width % heads:
        raise _refuse(where, f"width {width} with {heads} heads", "expected heads that divide it")


def _section(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    if not isinstance(value, dict):
        raise _refuse(key, value, "expected an object")
    return value


def _integer(section: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = section.get(key)
    # Bounds keep a hostile file from making us list billions of tensors.
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _refuse(key, value, f"expected an integer from {low} to {high}")
    return value


def _integers(
    section: Mapping[str, Any], key: str, low: int, high: int, count: int, *, exactly: bool = False
) -> tuple[int, ...]:
    values = section.get(key)
    if not isinstance(values, list) or len(values) > count or (exactly and len(values) != count):
        raise _refuse(key, values, f"expected a list of {count} integers")
    return tuple(_integer({key: value}, key, low, high) for value in values)


def _refuse(key: str, value: object, why: str) -> CheckpointMismatch:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return CheckpointMismatch(
        f"invalid config.json: {key} is {shown}, {why}; download the model's files again"
    )
