"""A Llama's forward pass as an OpenVINO graph, its weights at a chosen type, ready for ``ContinuousBatchingPipeline``.

We draw the graph ourselves and do not go through a GGUF file: the types are then ours to choose (a GGUF that openvino
reads holds F16 at best, an exam wants float32), nothing is packed and unpacked on the way, and the shapes of the nodes
are those that the CPU plugin fuses (rotary positions, RMS norm, the three MLP products and the q, k, v products; the
last two on AMX machines alone). openvino turns the attention and its cache into paged attention when it loads this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from instar.model_folder.llama import EMBED, HEAD, NORM, Llama

WeightType = Literal["f32", "f16", "i8"]
Array = NDArray[Any]


class Graph:
    """Draws the graph of one model. ``weights`` gives an array [out, in] or [n] by its Hugging Face name."""

    def __init__(self, llama: Llama, weights: Callable[[str], Array], weight_type: WeightType) -> None:
        from openvino import opset13

        self._op = opset13
        self._llama, self._weights, self._type = llama, weights, weight_type
        self._heads, self._kv_heads, self._head = llama.heads, llama.kv_heads, llama.head
        self._sinks: list[Any] = []

    def model(self) -> Any:
        """The ``openvino.Model``: token ids [rows, length] to logits [rows, length, vocabulary]."""
        import openvino as ov

        op = self._op
        ids = self._input("input_ids", [-1, -1], ov.Type.i64)
        mask = self._input("attention_mask", [-1, -1], ov.Type.i64)
        positions = self._input("position_ids", [-1, -1], ov.Type.i64)
        beams = self._input("beam_idx", [-1], ov.Type.i32)
        self._beams = beams
        # replaced with all the attention when openvino makes it paged: any mask of the right shape will do here
        self._mask = op.unsqueeze(op.convert(mask, "f32"), np.array([1, 2], np.int64))
        self._rows = op.gather(op.shape_of(ids), np.array([0], np.int64), np.int64(0))
        self._cos, self._sin = self._rotation(positions)
        table = self._table(EMBED)
        hidden = op.gather(table, op.convert(ids, "i32"), np.int32(0))
        for i in range(self._llama.layers):
            hidden = self._block(hidden, i)
        hidden = self._norm(hidden, NORM)
        tied = self._llama.tied
        head = EMBED if tied else HEAD
        logits = op.matmul(hidden, table if tied and self._type != "i8" else self._matrix(head), False, True)
        logits.output(0).set_names({"logits"})
        result = op.result(logits, name="logits")
        return ov.Model([result], self._sinks, [ids, mask, positions, beams], "llama")

    # --- parts -----------------------------------------------------------------------------------------------------

    def _input(self, name: str, shape: list[int], kind: Any) -> Any:
        node = self._op.parameter(shape, kind, name=name)
        node.output(0).set_names({name})
        return node

    def _table(self, name: str) -> Any:
        """The embedding: looked up, so never in 8 bits; in 16 where the products are in 8."""
        return self._half(name) if self._type == "i8" else self._matrix(name)

    def _matrix(self, name: str) -> Any:
        if self._type == "f32":
            return self._constant(self._weights(name).astype(np.float32, copy=False))
        if self._type == "f16":
            return self._half(name)
        array = self._weights(name).astype(np.float32, copy=False)
        # one scale a row, zero at zero: the form in which AMX multiplies 8-bit numbers (rows of zeros get scale 1)
        scale = np.abs(array).max(axis=1, keepdims=True) / 127
        scale[scale == 0] = 1
        rounded = np.rint(array / scale).astype(np.int8)
        return self._op.multiply(self._op.convert(self._constant(rounded), "f32"), self._constant(scale))

    def _half(self, name: str) -> Any:
        return self._op.convert(self._constant(self._weights(name).astype(np.float16)), "f32")

    def _constant(self, array: Array) -> Any:
        return self._op.constant(np.ascontiguousarray(array), shared_memory=True)

    def _linear(self, x: Any, name: str) -> Any:
        return self._op.matmul(x, self._matrix(f"{name}.weight"), False, True)

    def _norm(self, x: Any, name: str) -> Any:
        op = self._op
        eps = np.full((1, 1, 1), self._llama.eps, np.float32)
        square = op.power(x, np.full((1, 1, 1), 2, np.float32))
        mean = op.reduce_mean(square, np.array([-1], np.int32), True)
        factor = op.divide(np.float32(1), op.sqrt(op.add(mean, eps)))
        weight = self._weights(name).astype(np.float32, copy=False).reshape(1, 1, -1)
        return op.multiply(op.multiply(factor, x), self._constant(weight))

    def _rotation(self, positions: Any) -> tuple[Any, Any]:
        """Cosines and sines of every position, [rows, 1, length, head]."""
        op = self._op
        steps = self._llama.rope.theta ** -(np.arange(0, self._head, 2, dtype=np.float64) / self._head)
        at = op.convert(op.unsqueeze(positions, np.int64(1)), "f32")
        shape = op.concat([self._rows, np.array([1], np.int64), np.array([1], np.int64)], 0)
        frequencies = op.broadcast(steps.astype(np.float32).reshape(1, -1, 1), shape, broadcast_spec="BIDIRECTIONAL")
        angles = op.transpose(op.matmul(frequencies, at, False, False), np.array([0, 2, 1], np.int32))
        both = op.concat([angles, angles], -1)
        return tuple(op.unsqueeze(f(both), np.int64(1)) for f in (op.cos, op.sin))

    def _rotated(self, x: Any) -> Any:
        op, half, end = self._op, self._head // 2, np.array([2**63 - 1], np.int64)
        zero, middle, one, axis = (np.array([v], np.int64) for v in (0, half, 1, 3))
        second = op.multiply(op.slice(x, middle, end, one, axis), np.full((1, 1, 1, 1), -1, np.float32))
        turned = op.concat([second, op.slice(x, zero, middle, one, axis)], -1)
        return op.add(op.multiply(x, self._cos), op.multiply(turned, self._sin))

    def _split(self, x: Any, heads: int) -> Any:
        shaped = self._op.reshape(x, np.array([0, 0, heads, self._head], np.int64), True)
        return self._op.transpose(shaped, np.array([0, 2, 1, 3], np.int32))

    def _cached(self, x: Any, name: str) -> Any:
        """What was read before, and ``x`` after it: state that openvino's paged attention takes over."""
        import openvino as ov
        from openvino.op.util import Variable, VariableInfo

        op = self._op
        shape = [np.array([v], np.int64) for v in (self._kv_heads, 0, self._head)]
        empty = op.broadcast(np.float32(0), op.concat([self._rows, *shape], 0))
        info = VariableInfo()
        info.variable_id, info.data_type = name, ov.Type.f32
        info.data_shape = ov.PartialShape([-1, self._kv_heads, -1, self._head])
        state = Variable(info)
        past = op.read_value(empty, state)
        both = op.concat([op.gather(past, self._beams, np.int64(0)), x], 2)
        self._sinks.append(op.assign(both, state))
        return both

    def _repeated(self, x: Any) -> Any:
        """Each key and value head once for every query head that reads it."""
        op, times = self._op, self._heads // self._kv_heads
        if times == 1:
            return x
        sizes = [np.array([v], np.int64) for v in (self._kv_heads, times, 1, self._head)]
        wide = op.broadcast(
            op.unsqueeze(x, np.int64(2)), op.concat([self._rows, *sizes], 0), broadcast_spec="BIDIRECTIONAL"
        )
        return op.reshape(wide, np.array([0, self._heads, -1, self._head], np.int64), True)

    def _block(self, x: Any, i: int) -> Any:
        op, at = self._op, f"model.layers.{i}"
        normed = self._norm(x, f"{at}.input_layernorm.weight")
        q = self._rotated(self._split(self._linear(normed, f"{at}.self_attn.q_proj"), self._heads))
        k = self._rotated(self._split(self._linear(normed, f"{at}.self_attn.k_proj"), self._kv_heads))
        v = self._split(self._linear(normed, f"{at}.self_attn.v_proj"), self._kv_heads)
        k, v = (self._cached(part, f"past_key_values.{i}.{name}") for part, name in ((k, "key"), (v, "value")))
        attended = op.scaled_dot_product_attention(q, self._repeated(k), self._repeated(v), self._mask, causal=False)
        joined = op.transpose(attended, np.array([0, 2, 1, 3], np.int32))
        flat = op.reshape(joined, np.array([0, 0, self._heads * self._head], np.int64), True)
        x = op.add(x, self._linear(flat, f"{at}.self_attn.o_proj"))
        normed = self._norm(x, f"{at}.post_attention_layernorm.weight")
        gate = op.swish(self._linear(normed, f"{at}.mlp.gate_proj"))
        inner = op.multiply(gate, self._linear(normed, f"{at}.mlp.up_proj"))
        return op.add(x, self._linear(inner, f"{at}.mlp.down_proj"))
