"""What JAX has and NumPy has not, on disk: keys that are made by `jax.random.key`, and bfloat16."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.kit import bits

x, target = np.ones((8, 2), np.float32), np.zeros((8, 1), np.float32)
net = pn.serial(pn.dense(2, 3), pn.dropout(0.1), pn.dense(3, 1))
each_suffix = pytest.mark.parametrize("suffix", [".npz", ".safetensors"])


@each_suffix
@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_keys_of_jax(kind, suffix, tmp_path):
    key = jax.random.key(3, impl=kind)
    tree = {"one": key, "many": jax.random.split(key, (2, 3)), "old": jax.random.PRNGKey(1)}
    pn.save(tmp_path / f"keys{suffix}", tree)
    for like in (None, tree):
        back = pn.load(tmp_path / f"keys{suffix}", like)
        assert jax.random.key_impl(back["one"]) == kind
        assert back["many"].shape == (2, 3)
        assert jnp.array_equal(jax.random.normal(back["one"], (5,)), jax.random.normal(key, (5,)))
        assert jnp.array_equal(jax.random.key_data(back["many"]), jax.random.key_data(tree["many"]))
        assert jnp.array_equal(back["old"], tree["old"])
    assert jnp.array_equal(pn.from_dict(pn.to_dict(tree), tree)["many"], tree["many"])


def test_a_key_comes_back_where_jax_is_not_loaded_yet(tmp_path):
    pn.save(tmp_path / "keys.npz", (jax.random.key(3),))
    code = "import sys, purenet as pn; (key,) = pn.load(sys.argv[1]); print(key.dtype)"
    command = [sys.executable, "-c", code, str(tmp_path / "keys.npz")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "key<fry>\n"


def test_a_run_with_a_key_of_jax_stops_and_goes_on(tmp_path):
    params = pn.tree.map(jnp.asarray, net.init(jax.random.key(0)))

    def run(**options):
        return pn.train(net, pn.mse, pn.adam(), params, [(x, target)], key=jax.random.key(1), epochs=4, **options)

    kept = pn.checkpoints(tmp_path, every=2)
    whole = [state for state in run() if kept.save(state) or True]
    assert kept.steps() == [2, 4]
    (tmp_path / "step-000000004.npz").unlink()
    resumed = kept.load(pn.start(pn.adam(), params, jax.random.key(9)))
    last = list(run(resume=resumed))[-1]
    assert bits(last._replace(key=0)) == bits(whole[-1]._replace(key=0))
    assert jnp.array_equal(jax.random.key_data(last.key), jax.random.key_data(whole[-1].key))

    found = pn.fit(net, pn.mse, pn.adam(), params, (x, target), key=jax.random.key(1), epochs=2)
    pn.save(tmp_path / "fit.npz", found)
    back = pn.load(tmp_path / "fit.npz", like=pn.start(pn.adam(), params, jax.random.key(9)))
    more = [
        pn.fit(net, pn.mse, pn.adam(), params, (x, target), key=None, epochs=3, resume=each) for each in (found, back)
    ]
    assert bits(more[0].params) == bits(more[1].params)


@each_suffix
@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_numbers(dtype, suffix, tmp_path):
    ours = [p.astype(dtype) for p in pn.tree.leaves(net.init(pn.key(0)))]
    theirs = pn.tree.map(jnp.asarray, ours)
    for tree in (ours, theirs, {"no axes": jnp.ones((), dtype), "none": jnp.ones((0, 2), dtype), "beside": np.ones(2)}):
        pn.save(tmp_path / f"p{suffix}", tree)
        for like in (None, tree):
            back = pn.load(tmp_path / f"p{suffix}", like)
            for p, q in zip(pn.tree.leaves(back), pn.tree.leaves(tree), strict=True):
                assert (p.dtype, p.shape, np.asarray(p).tobytes()) == (q.dtype, q.shape, np.asarray(q).tobytes())
                assert like is None or type(p) is type(q)
    integers = {"no axes": np.ones((), "u2"), "none": np.ones((0, 2), "u2"), "beside": np.ones(2)}
    with pytest.raises(ValueError, match=rf"is an? {dtype} .*, but in like an uint16"):
        pn.load(tmp_path / f"p{suffix}", like=integers)


@pytest.mark.parametrize("dtype", ["finfo", "object", "float64", "no such"])
def test_a_file_that_claims_another_dtype(dtype, tmp_path):
    pn.save(tmp_path / "a.npz", np.ones(2, np.uint64))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        content = archive.read("leaf.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("purenet.json", f'{{"tree": "array", "dtypes": {{"leaf": "{dtype}"}}}}')
        archive.writestr("leaf.npy", content)
    for like in (None, np.ones(2, np.uint64)):
        with pytest.raises(ValueError, match=r"b\.npz is damaged"):
            pn.load(tmp_path / "b.npz", like)
