"""The network in training: transformers' own model with two auxiliary losses that are not shipped.

A model learns to read slowly from text alone, because text does not say where on the page a letter
is. The drawn pages know the positions. So a linear head predicts the characters under every patch
and in every vision token, and the attention of two heads in two decoder layers is trained on the
token to read next.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import UnlimitedOcrForConditionalGeneration
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from opticalrag.ingest.engines.deepseek_ocr.checkpoint.family import read_shape
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.weights import model_config

from .layout import COLUMN, ROW, SIDE
from .shape import CONFIG
from .tokens import FIRST_LETTER

__all__ = ["CHARACTERS", "Losses", "TrainingNetwork"]

CHARACTERS: Final = 1 + 94  # blank, and printable ASCII
PATCH: Final = 16
ACROSS: Final = 4  # horizontal positions of a character in a patch
_WIDEST: Final = 28  # patches of the view whose tokens cover one row and four columns
_LETTERS: Final = 4  # characters of a line per vision token
_CODE: Final = 24  # dimensions per letter in a vision token
_KNOWN: Final = 1  # the decoder layer that passes on the position of the next letter
_GUIDED: Final = (2, 3)  # the decoder layers that attend to it
_GUIDED_HEADS: Final = 2
_GRID: Final = (int(SIDE / COLUMN), int(SIDE / ROW))


@dataclass(frozen=True, slots=True)
class Losses:
    """Parts of the loss, each a mean, and the share of correctly predicted tokens."""

    text: Tensor
    patches: Tensor
    tokens: Tensor
    looks: Tensor
    places: Tensor
    right: Tensor

    @property
    def total(self) -> Tensor:
        """The loss to minimise."""
        seen = 0.2 * self.patches + 0.5 * self.tokens
        return self.text + seen + self.looks + self.places


class TrainingNetwork(nn.Module):
    """The model with its auxiliary heads."""

    def __init__(self) -> None:
        super().__init__()
        config = model_config(read_shape(CONFIG))
        self.model = UnlimitedOcrForConditionalGeneration._from_config(
            config,
            attn_implementation={"": "sdpa", "text_config": "guided"},
            experts_implementation="all_experts",
        )
        self.model.config.text_config._experts_implementation = "all_experts"
        width = config.text_config.hidden_size
        neck = config.vision_config.sam_config.output_channels
        self.patch_head = nn.Linear(neck, ACROSS * CHARACTERS)
        # The same code for a letter at each of the four positions of a vision token.
        self.token_head = nn.Linear(_CODE, CHARACTERS)
        self.place_head = nn.Linear(width, sum(_GRID))
        self.hints = 0.5  # share of answers
        self._neck: Tensor | None = None
        tower = self.model.model.vision_tower.sam_encoder
        tower.neck.register_forward_hook(self._keep)
        for layer in tower.layers:
            layer.attn.forward = MethodType(_windows, layer.attn)
        _begin(self.model)
        _look_around(tower)
        self._read_letters()

    def _read_letters(self) -> None:
        """Initialise the last layer to copy the letter at the known position to the output.

        Dimensions 0 to 95 are the four letters of a vision token, 96 to 99 select the next one, and
        100 to 123 are that letter. Training may change all of it.
        """
        content, slot, letter = _LETTERS * _CODE, 96, 100
        *lower, last = self.model.model.language_model.layers
        shared = last.mlp.shared_experts
        with torch.no_grad():
            place, code = self.place_head.weight, self.token_head.weight
            place[:, : letter + _CODE] = 0
            for column in range(_GRID[0]):
                place[column, slot + column % _LETTERS] = 1.0
            nn.init.normal_(code, std=0.3)
            attention, units = last.self_attn, torch.arange(content)
            attention.v_proj.weight[:content] = torch.eye(content, place.shape[1])
            attention.o_proj.weight[:, :content] = 8 * torch.eye(place.shape[1], content)
            shared.up_proj.weight[:content] = torch.eye(content, place.shape[1])
            shared.gate_proj.weight[:content] = 0
            shared.gate_proj.weight[:content, slot : slot + _LETTERS] = -1.0
            shared.gate_proj.weight[units, slot + units // _CODE] = 2.0
            shared.down_proj.weight[:, :content] = 0
            shared.down_proj.weight[letter + units % _CODE, units] = 4.0
            # In the tokenizer, ids of printable ASCII are consecutive, like their codes.
            words = self.model.get_input_embeddings().weight
            words[:, : letter + _CODE] = 0
            for name, weight in (pair for layer in lower for pair in layer.named_parameters()):
                if "o_proj" in name or "down_proj" in name:
                    weight[..., : letter + _CODE, :] = 0
            head = self.model.lm_head.weight
            head[:, letter : letter + _CODE] = 0
            letters = slice(FIRST_LETTER, FIRST_LETTER + CHARACTERS - 1)
            head[letters, letter : letter + _CODE] = code[1:]

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._neck = output

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Compute the losses of a batch (see :mod:`.batches` for its entries)."""
        inner = self.model.model
        pixels = batch["pixels"].float().div(255).sub(0.5).div(0.5).permute(0, 3, 1, 2)
        pixels = pixels.to(inner.image_newline.dtype)
        features = inner.multi_modal_projector(inner.vision_tower(pixels).last_hidden_state)
        patches, tokens = self._characters(features, batch["characters"])
        # A page is encoded once for all of its prompts.
        rows = self._rows(features[batch["pages"]], batch["ids"])
        hidden, middle, attention = self._decode(rows, batch["places"])
        wanted = batch["ids"][:, 1:]
        start = hidden.shape[1] - batch["ids"].shape[1]
        logits = self.model.lm_head(hidden[:, start:-1]).float()
        labels = wanted.masked_fill(batch["silent"][:, 1:], -100)
        text = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        looks = _look_loss(attention, batch["cells"][:, 1:], start, labels)
        right = (logits.detach().argmax(-1) == labels)[labels != -100].float().mean()
        places = self._places(middle[:, start:-1], batch["places"][:, 1:], labels)
        return Losses(text, patches, tokens, looks, places, right)

    def _rows(self, features: Tensor, ids: Tensor) -> Tensor:
        inner = self.model.model
        count, places, width = features.shape
        side = int(places**0.5)
        newline = inner.image_newline.to(features).expand(count, side, 1, width)
        page = torch.cat([features.view(count, side, side, width), newline], 2).flatten(1, 2)
        end = inner.view_separator.to(features).expand(count, 1, width)
        table = self.model.get_input_embeddings()
        begin = table(ids.new_zeros(count, 1)).to(features)
        return torch.cat([begin, page, end, table(ids).to(features)], 1)

    def _decode(self, rows: Tensor, places: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        text = self.model.model.language_model
        length = rows.shape[1]
        order = torch.arange(length)[None]
        mask = torch.full((length, length), -1e9, dtype=rows.dtype).triu(1)[None, None]
        turns = text.rotary_emb(rows, position_ids=order)
        hidden, middle, attention = rows, rows, []
        for layer in text.layers:
            hidden = layer(
                hidden, attention_mask=mask, position_ids=order, position_embeddings=turns
            )
            if layer.self_attn.layer_idx == _KNOWN:
                middle = hidden
                hidden = hidden + self._hints(hidden, places)
            kept = getattr(layer.self_attn, "looked", None)
            if kept is not None:
                attention.append(kept)
                layer.self_attn.looked = None
        return text.norm(hidden), middle, attention

    def _hints(self, hidden: Tensor, places: Tensor) -> Tensor:
        """Give some answers the position of the next letter, in the encoding of the position head.

        The model thus learns to read at a position and to find it at the same time. Otherwise
        neither is useful before the other works.
        """
        across, down = places[:, 1:].clamp(min=0).unbind(-1)
        table = self.place_head.weight
        across, down = across.clamp(max=_GRID[0] - 1), down.clamp(max=_GRID[1] - 1) + _GRID[0]
        told = functional.rms_norm(table[across] + table[down], table.shape[-1:])
        told = told * hidden[:, -places.shape[1] : -1].pow(2).mean(-1, keepdim=True).sqrt().detach()
        chosen = (torch.rand(len(places), 1, 1) < self.hints) & (places[:, 1:, :1] >= 0)
        before = hidden.shape[1] - places.shape[1]
        return functional.pad(told * chosen.to(told.dtype), (0, 0, before, 1))

    def _places(self, hidden: Tensor, places: Tensor, labels: Tensor) -> Tensor:
        """The loss of predicting the column and row of the next letter in the middle layer."""
        known = (places[..., 0] >= 0) & (labels != -100)
        normed = functional.rms_norm(hidden[known], hidden.shape[-1:])
        columns, rows = self.place_head(normed).split(_GRID, -1)
        across, down = places[known].unbind(-1)
        across, down = across.clamp(max=_GRID[0] - 1), down.clamp(max=_GRID[1] - 1)
        return functional.cross_entropy(columns.float(), across) + functional.cross_entropy(
            rows.float(), down
        )

    def _characters(self, features: Tensor, characters: Tensor) -> tuple[Tensor, Tensor]:
        # characters: [pages, patches down, ACROSS * patches across]
        if self._neck is None:
            raise RuntimeError("no page has been encoded yet; call the tower first")
        count, down, across = characters.shape
        by_patch = self.patch_head(self._neck.permute(0, 2, 3, 1))
        by_patch = by_patch.reshape(count, down, across, CHARACTERS)
        side = down // 4
        by_token = self.token_head(
            features[..., : _LETTERS * _CODE].unflatten(-1, (_LETTERS, _CODE))
        )
        by_token = by_token.reshape(count, side, side * _LETTERS, CHARACTERS)
        # Letters have their centres in the third of a row's four patches; see layout.
        letters = characters[:, 2::4, 2::ACROSS]
        if down != _WIDEST:  # in smaller views, a vision token covers more than these four
            letters = torch.zeros_like(letters)
        return _named(by_patch, characters), _named(by_token, letters)


def _named(scores: Tensor, truth: Tensor) -> Tensor:
    """The loss of predicting characters, over few of the many blank positions."""
    chosen = (truth > 0) | (torch.rand(truth.shape) < 0.05)
    return functional.cross_entropy(scores[chosen].float(), truth[chosen])


def _look_loss(attention: list[Tensor], cells: Tensor, start: int, labels: Tensor) -> Tensor:
    """The loss of the guided heads: their attention outside the token of each letter."""
    steps = cells.shape[1]
    known = (cells[..., 0] >= 0) & (labels != -100)
    losses = []
    for weights in attention:
        seen = weights[:, :, start : start + steps].mean(1)
        first = seen.gather(2, cells[..., :1].clamp(min=0) + 1)
        last = seen.gather(2, cells[..., 1:].clamp(min=0) + 1)
        same = cells[..., 0] == cells[..., 1]
        mass = first[..., 0] + last[..., 0] * ~same
        losses.append(-(mass[known].float() + 1e-4).log().mean())
    return torch.stack(losses).mean()


def _guided(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    scores = torch.matmul(query * scaling, key.transpose(-1, -2)) + attention_mask
    weights = scores.softmax(-1)
    if module.layer_idx in _GUIDED:
        module.looked = weights[:, :_GUIDED_HEADS]
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


def _windows(module: Any, hidden_states: Tensor, **kwargs: Any) -> tuple[Tensor, None]:
    """Compute the library's attention with positions as extra dimensions of queries and keys.

    This avoids the table of all position pairs and its gradient.
    """
    count, down, across, width = hidden_states.shape
    heads = module.num_attention_heads
    qkv = module.qkv(hidden_states).view(count, down * across, 3, heads, width // heads)
    query, key, value = qkv.permute(2, 0, 3, 1, 4).flatten(1, 2).unbind(0)
    rows = module.get_rel_pos(down, down, module.rel_pos_h)
    columns = module.get_rel_pos(across, across, module.rel_pos_w)
    grid = query.view(-1, down, across, width // heads)
    by_row = torch.einsum("bhwc,hkc->bhwk", grid, rows).flatten(1, 2)
    by_column = torch.einsum("bhwc,wkc->bhwk", grid, columns).flatten(1, 2)
    place = torch.arange(down * across)
    at = (functional.one_hot(place // across, down), functional.one_hot(place % across, across))
    here = torch.cat(at, -1).to(key.dtype)
    query = torch.cat([query * module.scale, by_row, by_column], -1)
    key = torch.cat([key, here.expand(len(key), -1, -1)], -1)
    weights = (query @ key.transpose(1, 2)).softmax(-1)
    out = (weights @ value).view(count, heads, down, across, -1).permute(0, 2, 3, 1, 4)
    return module.proj(out.reshape(count, down, across, width)), None


def _all_experts(module: Any, hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """Run all experts on all rows, unchosen ones times zero: one product instead of eight."""
    count, inner = module.num_experts, module.intermediate_dim
    both = functional.linear(hidden, module.gate_up_proj.flatten(0, 1)).view(-1, count, 2 * inner)
    gate, up = both.chunk(2, -1)
    share = torch.zeros(len(hidden), count, dtype=weights.dtype).scatter(1, chosen, weights)
    done = module.act_fn(gate) * up * share[..., None].to(both.dtype)
    down = module.down_proj.transpose(1, 2).flatten(0, 1)
    return done.flatten(1) @ down.to(done.dtype)


def _begin(model: Any) -> None:
    """Initialise weights that preserve the scale of their input.

    The library's standard deviation of 0.02 suits wide layers; with 128 dimensions, signals vanish.
    """
    ends = ("o_proj", "down_proj", "out_proj", "lin2", "fc2", "attn.proj")
    for name, parameter in model.named_parameters():
        place = name.removesuffix(".weight")
        if parameter.ndim < 2 or "embed_tokens" in name or "lm_head" in name:
            continue
        if "pos_embed" in name or "position_embedding" in name:
            nn.init.normal_(parameter, std=0.2)
        elif "patch_embed" in name:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            share = 0.5 if place.endswith(ends) else 1.0
            inner = parameter.shape[-1] if parameter.ndim != 4 else parameter[0].numel()
            nn.init.normal_(parameter, std=share * inner**-0.5)
    nn.init.normal_(model.get_input_embeddings().weight, std=0.3)


def _look_around(tower: Any) -> None:
    """Initialise the heads of the first encoder to attend to a patch's four neighbours."""
    for number, layer in enumerate(tower.layers):
        attention = layer.attn
        heads = attention.num_attention_heads
        width = attention.rel_pos_h.shape[1]
        reach = (attention.rel_pos_h.shape[0] + 1) // 2
        far = torch.arange(2 * reach - 1) - (reach - 1.0)
        with torch.no_grad():
            # The bias of the queries makes the first dimensions of a head constant; the tables
            # read them: -(dy - y)^2 and -(dx - x)^2 for the neighbour (y, x) of each head.
            bias = attention.qkv.bias.view(3, heads, width)
            bias.zero_()
            for table in (attention.rel_pos_h, attention.rel_pos_w):
                nn.init.normal_(table, std=0.02)
            places = [(0.0, -1.0), (0.0, 1.0), (-1.0, 0.0), (1.0, 0.0)]
            # Key minus query is minus the table's distance, which is query minus key.
            for head in range(heads):
                y, x = places[(number * heads + head) % 4]
                bias[0, head, head] = 1.0
                attention.rel_pos_h[:, head] = -1.0 * (-far - y) ** 2
                attention.rel_pos_w[:, head] = -1.0 * (-far - x) ** 2


ALL_ATTENTION_FUNCTIONS.register("guided", _guided)
ALL_EXPERTS_FUNCTIONS.register("all_experts", _all_experts)
