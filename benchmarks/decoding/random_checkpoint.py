"""Writes checkpoints of random weights in the released file layout, tiny for tests or full size.

They use every part of the real architecture, but cannot read: their output is noise, the same in
every run.

    python -m benchmarks.decoding.random_checkpoint FOLDER [--size tiny|released]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from opticalrag.ingest.engines.deepseek_ocr.checkpoint.family import (
    DEEPSEEK_OCR,
    SpecialTokens,
    read_shape,
)
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.manifest import tensor_shapes

__all__ = [
    "RELEASED",
    "SHARD",
    "TINY",
    "random_tensors",
    "write_checkpoint",
    "write_tokenizer",
]

VOCABULARY = 129280
WRITTEN = 2 + 256  # begin, end, and one token per byte
SHARD = "model-00001-of-000001.safetensors"
_POOL = 1 << 24  # random numbers, repeated: drawing three billion would take minutes

RELEASED: Mapping[str, Any] = {
    "model_type": "deepseek_vl_v2",
    "architectures": ["DeepseekOCRForCausalLM"],
    # The released file contains this too; the loader must never follow it.
    "auto_map": {"AutoModel": "modeling_deepseekocr.DeepseekOCRForCausalLM"},
    "language_config": {
        "vocab_size": VOCABULARY,
        "hidden_size": 1280,
        "num_attention_heads": 10,
        "num_key_value_heads": 10,
        "num_hidden_layers": 12,
        "first_k_dense_replace": 1,
        "intermediate_size": 6848,
        "moe_intermediate_size": 896,
        "n_routed_experts": 64,
        "num_experts_per_tok": 6,
        "n_shared_experts": 2,
        "max_position_embeddings": 8192,
        "use_mla": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
    "projector_config": {"projector_type": "linear", "input_dim": 2048, "n_embed": 1280},
    "vision_config": {
        "image_size": 1024,
        "width": {
            "sam_vit_b": {
                "width": 768,
                "heads": 12,
                "layers": 12,
                "global_attn_indexes": [2, 5, 8, 11],
                "downsample_channels": [512, 1024],
            },
            "clip-l-14-224": {
                "image_size": 224,
                "patch_size": 14,
                "width": 1024,
                "heads": 16,
                "layers": 24,
            },
        },
    },
}
"""The sizes in config.json of the released model."""


def _tiny() -> dict[str, Any]:
    config = deepcopy(dict(RELEASED))
    config["language_config"] |= {
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "moe_intermediate_size": 16,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "max_position_embeddings": 2048,
    }
    config["projector_config"] |= {"input_dim": 64, "n_embed": 32}
    small = {"width": 32, "heads": 2}
    widths = config["vision_config"]["width"]
    widths["sam_vit_b"] |= {
        **small,
        "layers": 2,
        "global_attn_indexes": [1],
        "downsample_channels": [32, 32],
    }
    widths["clip-l-14-224"] |= {**small, "layers": 1}
    return config


TINY: Mapping[str, Any] = _tiny()
"""The same with small sizes."""


def write_checkpoint(folder: Path, config: Mapping[str, Any] = TINY, seed: int = 0) -> Path:
    """Write config.json, tokenizer.json and one safetensors file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder / "tokenizer.json")
    save_file(random_tensors(config, seed), folder / SHARD)
    return folder


def random_tensors(config: Mapping[str, Any] = TINY, seed: int = 0) -> dict[str, torch.Tensor]:
    """Make all tensors in bfloat16, by released name."""
    generator = torch.Generator().manual_seed(seed)
    pool = torch.randn(_POOL, generator=generator).to(torch.bfloat16)
    tensors = {}
    for name, shape in tensor_shapes(read_shape(config)).items():
        size = math.prod(shape)
        start = int(torch.randint(_POOL, (1,), generator=generator))
        values = (
            pool.roll(-start)[:size] if size <= _POOL else pool.repeat(-(-size // _POOL))[:size]
        )
        tensors[name] = (values * _scale(name, shape)).reshape(shape).contiguous()
    # Ids without text never win, so that the output is text.
    tensors["lm_head.weight"][WRITTEN:] = 0
    return tensors


def _scale(name: str, shape: tuple[int, ...]) -> float:
    if "norm" in name:
        return 1.0
    return math.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.3


def write_tokenizer(path: Path, special: SpecialTokens = DEEPSEEK_OCR.special) -> None:
    """Make a byte tokenizer with the released special tokens at their ids."""
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


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=["tiny", "released"], default="released")
    options = parser.parse_args()
    write_checkpoint(options.folder, RELEASED if options.size == "released" else TINY)


if __name__ == "__main__":
    _main()
