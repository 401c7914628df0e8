"""Sizes of the small model, with the keys of the released config.json."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from opticalrag.ingest.engines.deepseek_ocr.checkpoint.family import TINY_SYNTHETIC

from ..decoding.random_checkpoint import RELEASED
from .tokens import VOCABULARY

__all__ = ["CONFIG"]


def _config() -> dict[str, Any]:
    config = deepcopy(dict(RELEASED))
    del config["auto_map"]
    config["model_type"] = TINY_SYNTHETIC.model_type
    config["language_config"] |= {
        "vocab_size": VOCABULARY,
        "hidden_size": 192,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "num_hidden_layers": 4,
        "intermediate_size": 512,
        "moe_intermediate_size": 64,
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "n_shared_experts": 2,
        "max_position_embeddings": 2048,
    }
    config["projector_config"] |= {"input_dim": 384, "n_embed": 192}
    # 28 patches of 16 pixels: two windows of 14, without padding.
    config["vision_config"]["image_size"] = 448
    widths = config["vision_config"]["width"]
    widths["sam_vit_b"] |= {
        "width": 128,
        "heads": 2,
        "layers": 2,
        # A window spans 224 pixels; the other encoder and the decoder see the whole page.
        "global_attn_indexes": [],
        "downsample_channels": [192, 192],
    }
    # One position per token of the 512 pixel view.
    widths["clip-l-14-224"] |= {
        "image_size": 8,
        "patch_size": 1,
        "width": 192,
        "heads": 4,
        "layers": 2,
    }
    return config


CONFIG: Final[Mapping[str, Any]] = _config()
