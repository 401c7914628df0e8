"""A DeepSeek-OCR of random weights, small enough for any test, in the released file layout.

It computes with every part of the real architecture and reads nothing: what it writes is
noise, but always the same noise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from opticalrag.ingest.deepseek_ocr.family import DEEPSEEK_OCR, SpecialTokens, read_shape
from opticalrag.ingest.deepseek_ocr.manifest import tensor_shapes
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

__all__ = ["CONFIG", "random_tensors", "write_checkpoint", "write_tokenizer"]

VOCABULARY = 129280
WRITTEN = 2 + 256  # begin, end, and a token per byte

CONFIG: Mapping[str, Any] = {
    "model_type": "deepseek_vl_v2",
    "architectures": ["DeepseekOCRForCausalLM"],
    # What the released file also says; it must never be followed.
    "auto_map": {"AutoModel": "modeling_deepseekocr.DeepseekOCRForCausalLM"},
    "language_config": {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "num_hidden_layers": 2,
        "first_k_dense_replace": 1,
        "intermediate_size": 64,
        "moe_intermediate_size": 16,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "max_position_embeddings": 2048,
        "use_mla": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
    "projector_config": {"projector_type": "linear", "input_dim": 64, "n_embed": 32},
    "vision_config": {
        "image_size": 1024,
        "width": {
            "sam_vit_b": {
                "width": 32,
                "heads": 2,
                "layers": 2,
                "global_attn_indexes": [1],
                "downsample_channels": [32, 32],
            },
            "clip-l-14-224": {
                "image_size": 224,
                "patch_size": 14,
                "width": 32,
                "heads": 2,
                "layers": 1,
            },
        },
    },
}


def write_checkpoint(folder: Path, seed: int = 0) -> Path:
    """Write config.json, tokenizer.json and one safetensors file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    write_tokenizer(folder / "tokenizer.json")
    save_file(random_tensors(seed), folder / "model-00001-of-000001.safetensors")
    return folder


def random_tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """All tensors by released name, float32."""
    rng = np.random.default_rng(seed)
    tensors = {
        name: rng.standard_normal(shape, np.float32) * (1.0 if "norm" in name else 0.3)
        for name, shape in tensor_shapes(read_shape(CONFIG)).items()
    }
    # Ids that stand for no text are never the likeliest, so that there is something to read.
    tensors["lm_head.weight"][WRITTEN:] = 0
    return tensors


def write_tokenizer(path: Path, special: SpecialTokens = DEEPSEEK_OCR.special) -> None:
    """Bytes as tokens, and the released special tokens at their ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    named = dict(getattr(special, name) for name in special.__slots__)
    others = ["<|ref|>", "<|/ref|>", "<|/det|>", "<|grounding|>", "<tr>", "</tr>"]
    free = [128816, 128817, 128819, 128820, 128823, 128824]
    named.update(zip(others, free, strict=True))
    vocabulary = {**{char: 2 + i for i, char in enumerate(alphabet)}, **named}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text, special=True) for text in named])
    backend.save(str(path))
