"""onnxruntime: the trained net as a graph of ONNX, run by a session. It predicts, and does not train here."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import purenet as pn
from benchmarks.works import Work

OPERATORS = {"tanh": "Tanh", "relu": "Relu"}


def predict(work: Work, params: Any) -> Callable[[], Any]:
    weights = [np.array(p) for p in pn.tree.leaves(params)]
    nodes, value = [], "x"
    for i in range(0, len(weights), 2):
        if i:
            nodes.append(helper.make_node(OPERATORS[work.hidden], [value], [f"h{i}"]))
            value = f"h{i}"
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"w{i + 1}"], [f"y{i}"]))
        value = f"y{i}"
    x = work.batches[0][0][:1].copy()

    def info(name: str, size: int) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size])

    initializers = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    graph = helper.make_graph(nodes, "net", [info("x", x.shape[1])], [info(value, weights[-1].size)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0]
