"""The graph that `to_onnx` builds: its nodes and constants, and the values that pass from node to node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from purenet.engine.arrays import Shape

BOOL, INT32, INT64 = TensorProto.BOOL, TensorProto.INT32, TensorProto.INT64


class Value(NamedTuple):
    """An array that passes through the graph.

    Fields:
        name: its name there.
        shape: that of one example, channels last, as everywhere in purenet.
        first: whether in the graph its channels stand first, right after the batch.
        source: the input of the graph whose numbers it holds, if nothing was computed of them; else "".
    """

    name: str
    shape: Shape
    first: bool = False
    source: str = ""

    @property
    def ndim(self) -> int:
        return len(self.shape) + 1


class Graph:
    """Nodes, in the order in which they run. `graph("Add", a, b)` adds one, and gives the name of its output.

    What a node is given is a value, the name of one, or a number, a list of integers or an array: a constant.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.path: tuple[str, ...] = ()  # of the layer that adds nodes
        self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        self.constants: dict[tuple[Any, Shape, bytes], str] = {}  # equal ones, such as tied weights, stand there once
        self.turned: dict[str, str] = {}  # arrays that stand there in both orders of axes, each by the other
        self.inputs: dict[str, Value] = {}
        self.uses: dict[str, tuple[int, str]] = {}  # the type and the role of inputs that do not hold floats

    def __call__(self, op: str, *given: Any, **attributes: Any) -> str:
        return self.several(op, 1, *given, **attributes)[0]

    def several(self, op: str, count: int, *given: Any, **attributes: Any) -> list[str]:
        """Adds a node with so many outputs, and gives their names."""
        outputs = [self._named(f"{op}_{len(self.nodes)}" + f"_{i}" * (count > 1)) for i in range(count)]
        self.nodes.append((op, [self._name_of(each) for each in given], outputs, attributes))
        return outputs

    def params(self, arrays: dict[str, Any]) -> list[str]:
        """The names of a layer's params, which are labelled so; None has none."""
        return [self._constant(array, label) for label, array in arrays.items() if array is not None]

    def input(self, name: str, shape: Shape) -> Value:
        """A new input of the graph."""
        return self.inputs.setdefault(name, Value(name, shape, source=name))

    def use(self, value: Value, element: int, role: str) -> str:
        """The name of a value that must hold integers or booleans: of an input that is known only by its use."""
        if value.source:
            self.uses[value.source] = element, role
        return value.name

    def last(self, value: Value) -> str:
        """The array with its channels last."""
        return self._turned(value, [0, *range(2, value.ndim), 1]) if value.first else value.name

    def first(self, value: Value) -> str:
        """The array with its channels first."""
        return value.name if value.first else self._turned(value, [0, value.ndim - 1, *range(1, value.ndim - 1)])

    def alike(self, values: Iterable[Value]) -> list[Value]:
        """The values with their axes in one order: channels first if they all are so."""
        values = list(values)
        if all(value.first for value in values):
            return values
        return [value._replace(name=self.last(value), first=False) for value in values]

    def model(self, outputs: dict[str, Value], opset: int, ir_version: int) -> ModelProto:
        """The model of this graph, whose outputs have these names."""
        roles = [role for _, role in self.uses.values()]
        names = {name: role for name, (_, role) in self.uses.items() if roles.count(role) == 1}
        ends: list[Any] = [("Identity", [self.last(value)], [name], {}) for name, value in outputs.items()]
        nodes = [
            helper.make_node(op, [names.get(each, each) for each in given], made, name=made[0], **attributes)
            for op, given, made, attributes in self.nodes + ends
        ]
        constants = [
            helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(dtype), shape, data, raw=True)
            for (dtype, shape, data), name in self.constants.items()
        ]
        inputs = [self._info(names.get(name, name), value) for name, value in self.inputs.items()]
        results = [self._info(name, value) for name, value in outputs.items()]
        graph = helper.make_graph(nodes, "purenet", inputs, results, constants)
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, producer_name="purenet")

    def _info(self, name: str, value: Value) -> ValueInfoProto:
        floats = helper.np_dtype_to_tensor_dtype(self.dtype), ""
        batch = "batch" if len(self.inputs) == 1 else f"batch of {name}"  # what has one name there has one size
        return helper.make_tensor_value_info(name, self.uses.get(value.source, floats)[0], [batch, *value.shape])

    def _name_of(self, given: Any) -> str:
        if isinstance(given, str):
            return given
        if isinstance(given, Value):
            return self.last(given)
        kind = {float: self.dtype, list: np.int64}.get(type(given))
        return self._constant(np.asarray(given, kind), f"constant_{len(self.constants)}")

    def _constant(self, array: Any, label: str) -> str:
        return self.constants.setdefault((array.dtype, array.shape, array.tobytes()), self._named(label))

    def _named(self, label: str) -> str:
        return ".".join((*self.path, label))

    def _turned(self, value: Value, order: list[int]) -> str:
        if value.ndim < 3:
            return value.name
        if value.name not in self.turned:
            other = self("Transpose", value.name, perm=order)
            self.turned.update({value.name: other, other: value.name})
        return self.turned[value.name]
