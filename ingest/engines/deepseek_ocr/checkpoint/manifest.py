"""Names and shapes of all tensors of a released checkpoint, derived from the model's sizes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from .family import ClipShape, DecoderShape, ModelShape, SamShape

__all__ = ["decoder_parameters", "encoder_parameters", "tensor_shapes"]

Named = Iterator[tuple[str, tuple[int, ...]]]

_ENCODER = ("model.sam_model.", "model.vision_model.", "model.projector.")


def tensor_shapes(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """List name and shape of every tensor that the checkpoint must hold; it may hold no others."""
    fused = shape.sam.downsample[1] + shape.clip.width
    return {
        **dict(_sam(shape.sam)),
        **dict(_clip(shape.clip)),
        **dict(_decoder(shape.decoder)),
        **dict(_linear("model.projector.layers", shape.decoder.hidden, fused, bias=True)),
        "model.image_newline": (shape.decoder.hidden,),
        "model.view_seperator": (shape.decoder.hidden,),  # the spelling of the released files
    }


def encoder_parameters(shape: ModelShape) -> int:
    """Count the parameters of both encoders and the projector."""
    return sum(prod(s) for n, s in tensor_shapes(shape).items() if n.startswith(_ENCODER))


def decoder_parameters(shape: ModelShape) -> int:
    """Count all other parameters."""
    return sum(prod(s) for n, s in tensor_shapes(shape).items() if not n.startswith(_ENCODER))


def _sam(sam: SamShape) -> Named:
    grid = sam.image_size // sam.patch
    yield from _convolution("model.sam_model.patch_embed.proj", sam.width, 3, sam.patch)
    yield "model.sam_model.patch_embed.proj.bias", (sam.width,)
    yield "model.sam_model.pos_embed", (1, grid, grid, sam.width)
    for layer in range(sam.layers):
        yield from _sam_block(f"model.sam_model.blocks.{layer}", sam, layer)
    yield from _convolution("model.sam_model.neck.0", sam.neck, sam.width, 1)
    yield from _norm("model.sam_model.neck.1", sam.neck)
    yield from _convolution("model.sam_model.neck.2", sam.neck, sam.neck, 3)
    yield from _norm("model.sam_model.neck.3", sam.neck)
    yield from _convolution("model.sam_model.net_2", sam.downsample[0], sam.neck, 3)
    yield from _convolution("model.sam_model.net_3", sam.downsample[1], sam.downsample[0], 3)


def _sam_block(name: str, sam: SamShape, layer: int) -> Named:
    reach = sam.image_size // sam.patch if layer in sam.global_layers else sam.window
    inner = sam.mlp_ratio * sam.width
    yield from _norm(f"{name}.norm1", sam.width)
    yield from _norm(f"{name}.norm2", sam.width)
    yield from _linear(f"{name}.attn.qkv", 3 * sam.width, sam.width, bias=True)
    yield from _linear(f"{name}.attn.proj", sam.width, sam.width, bias=True)
    yield f"{name}.attn.rel_pos_h", (2 * reach - 1, sam.width // sam.heads)
    yield f"{name}.attn.rel_pos_w", (2 * reach - 1, sam.width // sam.heads)
    yield from _linear(f"{name}.mlp.lin1", inner, sam.width, bias=True)
    yield from _linear(f"{name}.mlp.lin2", sam.width, inner, bias=True)


def _clip(clip: ClipShape) -> Named:
    base = "model.vision_model"
    yield f"{base}.embeddings.class_embedding", (clip.width,)
    # Stored but unused: CLIP reads the output of the SAM encoder, not pixels.
    yield from _convolution(f"{base}.embeddings.patch_embedding", clip.width, 3, clip.patch)
    yield f"{base}.embeddings.position_embedding.weight", (clip.positions, clip.width)
    yield from _norm(f"{base}.pre_layrnorm", clip.width)
    inner = clip.mlp_ratio * clip.width
    for layer in range(clip.layers):
        name = f"{base}.transformer.layers.{layer}"
        yield from _norm(f"{name}.layer_norm1", clip.width)
        yield from _norm(f"{name}.layer_norm2", clip.width)
        yield from _linear(f"{name}.self_attn.qkv_proj", 3 * clip.width, clip.width, bias=True)
        yield from _linear(f"{name}.self_attn.out_proj", clip.width, clip.width, bias=True)
        yield from _linear(f"{name}.mlp.fc1", inner, clip.width, bias=True)
        yield from _linear(f"{name}.mlp.fc2", clip.width, inner, bias=True)


def _decoder(decoder: DecoderShape) -> Named:
    yield from _linear("lm_head", decoder.vocab, decoder.hidden)
    yield from _linear("model.embed_tokens", decoder.vocab, decoder.hidden)
    yield "model.norm.weight", (decoder.hidden,)
    for layer in range(decoder.layers):
        name = f"model.layers.{layer}"
        yield f"{name}.input_layernorm.weight", (decoder.hidden,)
        yield f"{name}.post_attention_layernorm.weight", (decoder.hidden,)
        for part in "qkvo":
            yield from _linear(f"{name}.self_attn.{part}_proj", decoder.hidden, decoder.hidden)
        if layer < decoder.dense_layers:
            yield from _gated(f"{name}.mlp", decoder.hidden, decoder.dense_inner)
        else:
            yield from _experts(f"{name}.mlp", decoder)


def _experts(name: str, decoder: DecoderShape) -> Named:
    yield from _linear(f"{name}.gate", decoder.experts, decoder.hidden)
    shared = decoder.shared_experts * decoder.expert_inner
    yield from _gated(f"{name}.shared_experts", decoder.hidden, shared)
    for expert in range(decoder.experts):
        yield from _gated(f"{name}.experts.{expert}", decoder.hidden, decoder.expert_inner)


def _gated(name: str, hidden: int, inner: int) -> Named:
    yield from _linear(f"{name}.gate_proj", inner, hidden)
    yield from _linear(f"{name}.up_proj", inner, hidden)
    yield from _linear(f"{name}.down_proj", hidden, inner)


def _linear(name: str, rows: int, cols: int, *, bias: bool = False) -> Named:
    yield f"{name}.weight", (rows, cols)
    if bias:
        yield f"{name}.bias", (rows,)


def _norm(name: str, size: int) -> Named:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def _convolution(name: str, out: int, into: int, kernel: int) -> Named:
    yield f"{name}.weight", (out, into, kernel, kernel)
