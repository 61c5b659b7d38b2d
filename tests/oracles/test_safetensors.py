"""A `.safetensors` file opens in PyTorch, and one of PyTorch's opens here."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

import purenet as pn
from tests.test_checkpoint import SORTABLE, same, small

KEPT = {name: leaf for name, leaf in SORTABLE.items() if name != "ordered"}  # which has a complex number


def test_everything_comes_back(tmp_path):
    pn.save(tmp_path / "a.safetensors", KEPT)
    assert same(KEPT, pn.load(tmp_path / "a.safetensors", like=KEPT))
    without = pn.load(tmp_path / "a.safetensors")
    assert without["keys"] == KEPT["keys"]
    assert not any(leaf.flags.writeable for leaf in pn.tree.leaves(without) if isinstance(leaf, np.ndarray))


def test_pytorch_opens_it(tmp_path):
    params = pn.serial(pn.dense(2, 3), pn.tanh).init(pn.key(0))
    pn.save(tmp_path / "a.safetensors", params)
    tensors = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert {name: tensor.numpy().tolist() for name, tensor in tensors.items()} == {
        "[0].weight": params[0].weight.tolist(),
        "[0].bias": params[0].bias.tolist(),
    }


def test_one_of_pytorch_opens_here(tmp_path):
    state = torch.nn.Linear(2, 3).state_dict()
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    arrays = pn.load(tmp_path / "a.safetensors")
    assert sorted(arrays) == ["bias", "weight"]
    assert np.array_equal(arrays["weight"], state["weight"].numpy())


def test_complex_numbers_have_no_place(tmp_path):
    with pytest.raises(TypeError, match="holds no complex numbers"):
        pn.save(tmp_path / "a.safetensors", np.ones(2, np.complex128))


def header(text: str, data: bytes = b"") -> bytes:
    return len(text).to_bytes(8, "little") + text.encode() + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        (2**60).to_bytes(8, "little") + b"{}",
        (2**64 - 1).to_bytes(8, "little"),
        header('{"w": {"dtype": "F32", "shape": [1152921504606846976], "data_offsets": [0, 4611686018427387904]}}'),
        header('{"w": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 4]}}', bytes(4)),
        header('{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}', bytes(4)),
        header('{"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}', bytes(4)),
        header('{"../w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', bytes(4)),
        header("{" * 100_000),
    ],
)
def test_harmful_files(content, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged"):
        pn.load(tmp_path / "a.safetensors")


def test_a_file_whose_checksum_was_taken_out(tmp_path):
    path = tmp_path / "a.safetensors"
    pn.save(path, small())
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a dict)
    del metadata["purenet.crc32"]
    safetensors.numpy.save_file(arrays, path, metadata)
    with pytest.raises(ValueError, match="does not have the checksum"):
        pn.load(path)
