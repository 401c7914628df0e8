"""Build the network with transformers' classes and load it from a verified checkpoint.

transformers has the architecture as ``unlimited_ocr``, a descendant of DeepSeek-OCR that differs
only in the decoder's attention: with full attention in every layer it is the same network. Its
loader also maps the released tensor names. Code of a checkpoint is never run.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ....core.errors import CheckpointMismatch, MissingExtra
from ....system.progress_bars import hide_progress_bars
from ..device.runtime import Runtime, free_bytes, require_memory
from .checkpoint import Checkpoint
from .family import ModelShape
from .manifest import decoder_parameters, encoder_parameters

if TYPE_CHECKING:
    from transformers import UnlimitedOcrConfig, UnlimitedOcrForConditionalGeneration

__all__ = ["load_network", "model_config", "weight_bytes"]


def load_network(checkpoint: Checkpoint, runtime: Runtime) -> UnlimitedOcrForConditionalGeneration:
    """Load the network on its device.

    Raises:
        OutOfMemory: the weights do not fit.
        CheckpointMismatch: transformers cannot assign all tensors.
        MissingExtra: transformers is missing or too old.
    """
    needed = weight_bytes(checkpoint.shape, runtime)
    remedy = "close other programs or choose a larger machine"
    require_memory(
        needed, free_bytes(runtime.device), f"{checkpoint.name} on {runtime.device}", remedy
    )
    if runtime.device != "cpu":  # weights are assembled in main memory first
        require_memory(needed, free_bytes("cpu"), f"loading {checkpoint.name}", remedy)
    model = _build(checkpoint, runtime)
    if runtime.encoder != runtime.decoder:
        # The released weights are bfloat16, so converting them to float32 here is exact.
        model.model.vision_tower.float()
        model.model.multi_modal_projector.float()
    return model.to(runtime.device)


def weight_bytes(shape: ModelShape, runtime: Runtime) -> int:
    """Bytes of all weights in memory."""
    encoder = encoder_parameters(shape) * runtime.encoder_bytes
    return encoder + decoder_parameters(shape) * runtime.decoder_bytes


def model_config(shape: ModelShape) -> UnlimitedOcrConfig:
    """Translate the sizes to transformers' configuration."""
    try:
        from transformers import UnlimitedOcrConfig
    except ImportError as error:
        raise MissingExtra("DeepSeek-OCR (transformers 5.20 or newer)", "gpu") from error
    return UnlimitedOcrConfig(
        vision_config=_vision_fields(shape),
        text_config=_text_fields(shape),
        image_token_id=shape.family.special.image[1],
    )


def _vision_fields(shape: ModelShape) -> dict[str, Any]:
    sam, clip = shape.sam, shape.clip
    return {
        "sam_config": {
            "hidden_size": sam.width,
            "output_channels": sam.neck,
            "num_hidden_layers": sam.layers,
            "num_attention_heads": sam.heads,
            "image_size": sam.image_size,
            "patch_size": sam.patch,
            "window_size": sam.window,
            "global_attn_indexes": list(sam.global_layers),
            "mlp_dim": sam.mlp_ratio * sam.width,
            "downsample_channels": list(sam.downsample),
        },
        "encoder_config": {
            "hidden_size": clip.width,
            "intermediate_size": clip.mlp_ratio * clip.width,
            "num_hidden_layers": clip.layers,
            "num_attention_heads": clip.heads,
            "image_size": clip.image_size,
            "patch_size": clip.patch,
        },
    }


def _text_fields(shape: ModelShape) -> dict[str, Any]:
    decoder = shape.decoder
    return {
        "vocab_size": decoder.vocab,
        "hidden_size": decoder.hidden,
        "intermediate_size": decoder.dense_inner,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.heads,
        "moe_intermediate_size": decoder.expert_inner,
        "n_routed_experts": decoder.experts,
        "n_shared_experts": decoder.shared_experts,
        "num_experts_per_tok": decoder.experts_per_token,
        "first_k_dense_replace": decoder.dense_layers,
        "max_position_embeddings": decoder.max_positions,
        "layer_types": ["full_attention"] * decoder.layers,
        "sliding_window": decoder.max_positions,  # required, but unused with full attention
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }


def _build(checkpoint: Checkpoint, runtime: Runtime) -> UnlimitedOcrForConditionalGeneration:
    import torch
    from safetensors import safe_open

    config = model_config(checkpoint.shape)
    from transformers import UnlimitedOcrForConditionalGeneration as Model

    with ExitStack() as stack, hide_progress_bars():
        # Passing slices of verified files keeps transformers from picking up anything else in the
        # folder, such as an adapter, another index or a pickle.
        slices = {}
        for file in checkpoint.files:
            handle = stack.enter_context(safe_open(file, framework="pt", device="cpu"))
            slices.update({name: handle.get_slice(name) for name in handle.keys()})  # noqa: SIM118
        model, info = Model.from_pretrained(
            None,
            config=config,
            state_dict=slices,
            dtype=getattr(torch, runtime.decoder),
            attn_implementation={"": "sdpa", "text_config": runtime.attention},
            experts_implementation="grouped_mm",
            output_loading_info=True,
        )
    wrong = {kind: sorted(map(str, names))[:5] for kind, names in info.items() if names}
    if wrong:
        raise CheckpointMismatch(
            f"transformers could not assign all tensors of {checkpoint.folder}: {wrong}; use a"
            " tested version of transformers (5.20 to 5.23)"
        )
    return model.eval()
