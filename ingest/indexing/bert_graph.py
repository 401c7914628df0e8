"""The ONNX graph of a BERT encoder that embeds one text. Pure: options and shapes, no weights.

The encoder of Devlin et al. (2018) as all-MiniLM-L6-v2 uses it: a layer norm after each sum, exact
GELU, then the mean over all tokens, scaled to unit length. One text alone has no padding, so the
graph needs no attention mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

__all__ = ["INPUT", "OUTPUT", "bert_graph"]

INPUT: Final = "token_ids"
"""Name of the input. Shape: int64 ``[tokens]``, special tokens included."""
OUTPUT: Final = "embedding"
"""Name of the output. Shape: float32 ``[dimension]``, unit length."""

_WORDS: Final = "embeddings.word_embeddings.weight"
_OPSET: Final = 20  # the first with Gelu; in ONNX 1.16
_IR_VERSION: Final = 10  # of ONNX 1.16; the default would be the newest, too new for older runtimes


def bert_graph(
    shapes: Mapping[str, Sequence[int]], *, layers: int, heads: int, epsilon: float
) -> tuple[bytes, list[str]]:
    """Build the graph of a model, about 15 kB, as a serialized ONNX model.

    Args:
        shapes: shapes of the model's tensors by name.
        layers: number of layers.
        heads: attention heads per layer.
        epsilon: what the layer norms add to the variance.

    Returns:
        The model, and the names of the tensors that it takes as external initializers.

    Raises:
        KeyError: a tensor is missing.
    """
    graph = _Graph(shapes, heads, epsilon)
    hidden = graph.embed_tokens()
    for layer in range(layers):
        hidden = graph.feed_forward(graph.attend(hidden, layer), layer)
    return graph.pool(hidden), graph.weights


class _Graph:
    """Collects nodes and initializers. Methods take and return names of values."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], heads: int, epsilon: float) -> None:
        self._shapes = shapes
        self._dimension = shapes[_WORDS][1]
        self._heads = heads
        self._epsilon = epsilon
        self._nodes: list[NodeProto] = []
        self._initializers: list[TensorProto] = []
        self.weights: list[str] = []

    def embed_tokens(self) -> str:
        """Sum the embeddings of words, positions and kind. Shape: ``[tokens, dimension]``."""
        words = self._add("Gather", self._weight(_WORDS), INPUT)
        table = self._weight("embeddings.position_embeddings.weight")
        places = self._add("Slice", table, self._constant([0]), self._add("Shape", INPUT))
        kinds = self._weight("embeddings.token_type_embeddings.weight")
        kind = self._add("Gather", kinds, self._constant(0))  # a text alone is all of the first
        return self._norm(self._sum(self._sum(words, places), kind), "embeddings.LayerNorm")

    def attend(self, hidden: str, layer: int) -> str:
        """Mix the tokens: multi-head self-attention. Shape: as ``hidden``."""
        name = f"encoder.layer.{layer}.attention"
        # Shapes: [heads, tokens, width], and of keys [heads, width, tokens].
        query = self._split_heads(hidden, f"{name}.self.query", [1, 0, 2])
        key = self._split_heads(hidden, f"{name}.self.key", [1, 2, 0])
        value = self._split_heads(hidden, f"{name}.self.value", [1, 0, 2])
        scale = self._constant(np.float32((self._dimension // self._heads) ** -0.5))
        scores = self._add("Mul", self._add("MatMul", query, key), scale)
        mixed = self._add("MatMul", self._add("Softmax", scores, axis=-1), value)
        rows = self._add("Transpose", mixed, perm=[1, 0, 2])
        merged = self._add("Reshape", rows, self._constant([0, self._dimension]))
        projected = self._linear(merged, f"{name}.output.dense")
        return self._norm(self._sum(projected, hidden), f"{name}.output.LayerNorm")

    def feed_forward(self, hidden: str, layer: int) -> str:
        """Transform each token by two linear layers. Shape: as ``hidden``."""
        name = f"encoder.layer.{layer}"
        inner = self._add("Gelu", self._linear(hidden, f"{name}.intermediate.dense"))
        outer = self._linear(inner, f"{name}.output.dense")
        return self._norm(self._sum(outer, hidden), f"{name}.output.LayerNorm")

    def pool(self, hidden: str) -> bytes:
        """Finish the graph: the mean of the tokens, at unit length."""
        mean = self._add("ReduceMean", hidden, self._constant([0]), keepdims=0)
        norm = self._add("ReduceL2", mean, self._constant([0]), keepdims=1)
        self._nodes.append(helper.make_node("Div", [mean, norm], [OUTPUT]))
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["tokens"])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [self._dimension])],
            self._initializers,
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
        return bytes(model.SerializeToString())

    def _split_heads(self, hidden: str, name: str, order: list[int]) -> str:
        split = self._constant([0, self._heads, self._dimension // self._heads])
        heads = self._add("Reshape", self._linear(hidden, name), split)
        return self._add("Transpose", heads, perm=order)

    def _linear(self, hidden: str, name: str) -> str:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._add("Gemm", hidden, weight, bias, transB=1)

    def _norm(self, hidden: str, name: str) -> str:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._add("LayerNormalization", hidden, weight, bias, epsilon=self._epsilon)

    def _sum(self, left: str, right: str) -> str:
        return self._add("Add", left, right)

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{len(self._nodes)}.{kind}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, value: Any) -> str:
        name = f"constant.{len(self._initializers)}"
        self._initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _weight(self, name: str) -> str:
        tensor = TensorProto(
            name=name,
            dims=self._shapes[name],
            data_type=TensorProto.FLOAT,
            data_location=TensorProto.EXTERNAL,
        )
        tensor.external_data.add(key="location", value="given to the session")
        self._initializers.append(tensor)
        self.weights.append(name)
        return name
