"""A net as a model of ONNX, which other programs run: onnxruntime, browsers, phones, other languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purenet import tree
from purenet.core import Layer
from purenet.engine.arrays import describe, needed, read_in_shape, shape_text, to_numpy
from purenet.engine.jax import host_only
from purenet.random import key
from purenet.values import hinted

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET, IR_VERSION = 13, 7  # what onnxruntime has read since 1.6, of December 2020


@hinted
def to_onnx(net: Layer[Any], params: Any, in_shape: Any) -> ModelProto:
    """The net in inference, as an `onnx.ModelProto` of opset 13: `onnx.save(model, path)` writes it.

    model = pn.to_onnx(net, params, in_shape=(28, 28, 1))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"x": x})

    `in_shape` is the shape of one example, as in `init`, with all its sizes; the batch is left open. The axes of x and
    y stay as they are: the model turns channels to the front and back by itself. A net whose x is a tuple takes a tuple
    of shapes, in which None stands for a part that is None. Its inputs are x0, x1, … in the order of
    `pn.tree.leaves(x)`, but `ids`, `lengths` and `mask` where there is one such; several outputs are y0, y1, ….
    Ids and lengths are int64, masks booleans; a mask of (query, key) pairs is added there, 0 or −∞. All else has the
    dtype of the params, float32 or float64; where there are none, float32. (onnxruntime has
    no float64 for some operators, such as convolutions; it says so.)

    Every layer of purenet has its operators but `activation`, whose function is your own, and so have nets of such
    layers. An id below 0 is no error there.

    Raises:
        ModuleNotFoundError: onnx is not there.
        TypeError: a layer is your own; params have other dtypes than float32 or float64, or more than one.
        ValueError: the params are another net's; sizes of in_shape are not known or do not fit the net.
    """
    host_only("to_onnx", *tree.leaves(params))
    needed("onnx", "to_onnx builds a model of ONNX: pip install 'purenet[onnx]'")
    from purenet.interop.graph import Graph, Value
    from purenet.interop.operators import emit

    if not isinstance(net, Layer):
        raise TypeError(f"to_onnx takes a layer, its params and in_shape, not {describe(net)}")
    in_shape = read_in_shape(in_shape, "to_onnx")
    if not _is_known(in_shape):
        raise ValueError(
            f"to_onnx takes in_shape, the shape of an example with all its sizes, as in (28, 28, 1), not "
            f"{shape_text(in_shape)}: only the batch is left open"
        )
    if apart := tree.parting(net.init(key(0), in_shape), params, "params", shapes=True):
        raise ValueError(
            f"to_onnx takes params like those of net.init(key, in_shape), but they differ at {apart}. Are these of "
            "another net?"
        )
    params = tree.map(to_numpy, params)
    graph = Graph(_dtype(params))

    def inputs(shape: Any, name: str) -> Any:
        if shape is None:
            return None
        if any(type(part) is not int for part in shape):
            separator = "_" * (name != "x")
            return tuple(inputs(part, f"{name}{separator}{i}") for i, part in enumerate(shape))
        return graph.input(name, shape)

    y = emit(graph, net, params, inputs(in_shape, "x"))
    if isinstance(y, Value):
        return graph.model({"y": y}, OPSET, IR_VERSION)
    return graph.model({f"y{i}": value for i, value in enumerate(tree.leaves(y, Value))}, OPSET, IR_VERSION)


def _is_known(in_shape: Any) -> bool:
    """Whether each size of a shape, or of several, is known."""
    if not isinstance(in_shape, tuple):
        return False
    if any(isinstance(part, tuple) for part in in_shape):
        return all(part is None or _is_known(part) for part in in_shape)
    return all(isinstance(n, int) for n in in_shape)


def _dtype(params: Any) -> Any:
    """The dtype of all params; of none, float32."""
    dtypes = {str(leaf.dtype) for leaf in tree.leaves(params)} or {"float32"}
    if dtypes not in ({"float32"}, {"float64"}):
        raise TypeError(
            f"to_onnx takes params of float32 or of float64, not {' and '.join(sorted(dtypes))}: "
            "write pn.tree.cast(params, np.float32)"
        )
    return dtypes.pop()
