"""Every layer and loss against its twins in PyTorch and JAX: value, dparams and dx.

On random shapes and options, as `tests/oracles/twins` draws them; on the cases of the catalogue; and as recorded.
"""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYER_CASES, LAYERS, LOSS_CASES, LOSSES, WITHOUT_TWIN, layer_id, loss_id
from tests.oracles.agree import agree_all
from tests.oracles.twins import TWINS
from tests.oracles.twins.compare import by_jax, by_torch, has_twin, ours, some_dy, without_buffers
from tests.oracles.twins.draw import near_init
from tests.oracles.twins.twin import Drawn
from tests.records import like, read

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def test_every_row_of_the_catalogue_has_a_twin_or_a_reason():
    assert set(TWINS) | set(WITHOUT_TWIN) == set(LAYERS) | set(LOSSES)
    assert not set(TWINS) & set(WITHOUT_TWIN)
    assert all(callable(twin.jax) or len(twin.jax) > 10 for twin in TWINS.values())


IN_JAX = [name for name, twin in TWINS.items() if callable(twin.jax)]


def of_catalogue(name):
    """A draw of the catalogue's cases, with other numbers."""

    def draw(rng):
        case = LAYERS[name][rng.integers(len(LAYERS[name]))]
        x = pn.tree.map(lambda leaf: rng.normal(size=leaf.shape) if leaf.dtype.kind == "f" else leaf, case.x)
        return Drawn(case.layer, x, training=case.key is not None)

    return draw


def drawn(name, oracle, draw, dtype, count):
    """Each draw, in this dtype, with what our rule gives for it and the dE/dY that it was given."""
    rng = np.random.default_rng([*oracle.encode(), *name.encode(), np.dtype(dtype).itemsize])
    for _ in range(count):
        layer, x, params, training = draw(rng)
        if params is None:
            params = () if isinstance(layer, pn.Loss) else near_init(rng, layer, x)
        params, x = pn.tree.cast((params, x), dtype)
        found, dy = ours(layer, params, x, lambda y: some_dy(rng, y), training)
        yield found, (layer, params, x, dy, training)


@pytest.mark.parametrize("name", TWINS)
@each_dtype
def test_random_draws_in_torch(name, dtype):
    twin = TWINS[name]
    for found, point in drawn(name, "PyTorch", twin.draw or of_catalogue(name), dtype, twin.draws):
        agree_all(name, "PyTorch", found, by_torch(*point), twin.least, twin.share, what=point[0])


@pytest.mark.parametrize("name", IN_JAX)
@each_dtype
def test_random_draws_in_jax(name, dtype):
    twin = TWINS[name]
    for found, point in drawn(name, "JAX", twin.jax_draw or twin.draw or of_catalogue(name), dtype, twin.jax_draws):
        found = found._replace(dparams=without_buffers(found.dparams))
        agree_all(name, "JAX", found, by_jax(*point), twin.least, twin.share, twin.jax_tolerance, point[0])


COMPARED = [entry for entry in LAYER_CASES if has_twin(entry[1])]


@pytest.mark.parametrize(("name", "case"), COMPARED, ids=map(layer_id, COMPARED))
def test_the_cases_of_the_catalogue(name, case):
    training, rng = case.key is not None, np.random.default_rng(0)
    found, dy = ours(case.layer, case.params, case.x, lambda y: some_dy(rng, y), training)
    theirs = by_torch(case.layer, case.params, case.x, dy, training)
    agree_all(name, "PyTorch", found, theirs, share=0.01, what=case.layer)


@pytest.mark.parametrize(("name", "case"), LOSS_CASES, ids=map(loss_id, LOSS_CASES))
def test_the_cases_of_losses(name, case):
    found, dE = ours(case.loss, (), (case.y, case.target), lambda E: some_dy(np.random.default_rng(0), E))
    agree_all(name, "PyTorch", found, by_torch(case.loss, (), (case.y, case.target), dE), what=case.loss)


RECORDS = read()


@pytest.mark.parametrize("record", RECORDS, ids=[f"{i}-{record.layer}" for i, record in enumerate(RECORDS)])
def test_the_recorded_results_are_the_twins(record):
    layer, params, x = record.point()
    y = layer.apply(*x) if isinstance(layer, pn.Loss) else layer.apply(params, x)
    theirs = by_torch(layer, params, x, like(y, record.dy), record.training)
    for part, tree in theirs._asdict().items():
        for a, b in zip(pn.tree.leaves(tree), getattr(record, part), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(b).max(initial=0), err_msg=part)
