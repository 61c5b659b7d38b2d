"""`log_to` and the writer of TensorBoard: what stands in its file."""

from __future__ import annotations

import numpy as np
from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event

import purenet as pn


def events(file):
    """The events of a file: each has its length, eight bytes, and a checksum before it, and one behind it."""
    data = file.read_bytes()
    while data:
        end = 12 + int.from_bytes(data[:8], "little")
        yield Event.FromString(data[12:end])
        data = data[end + 4 :]


def test_the_file_of_tensorboard_holds_each_number_of_each_epoch(tmp_path):
    x = np.ones((8, 2), np.float32)
    net = pn.dense(2, 1)
    with SummaryWriter(str(tmp_path)) as writer:
        found = pn.fit(net, pn.mse, pn.sgd(0.1), net.init(pn.key(0)), (x, x[:, :1]), key=pn.key(1), epochs=3,
                       validation=(x, x[:, :1]), metrics=pn.metrics.mean_absolute_error,
                       callbacks=pn.log_to(writer))  # fmt: skip
    (file,) = tmp_path.glob("events.*")
    told = {(value.tag, event.step): value.simple_value for event in events(file) for value in event.summary.value}
    expected = {(name, i + 1): np.float32(v) for name, values in found.history.items() for i, v in enumerate(values)}
    assert len(expected) == 5 * 3
    assert told == expected
