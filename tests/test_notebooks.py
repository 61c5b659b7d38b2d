"""What a notebook shows of nets, tables and runs: sizes and curves, and no pages of numbers."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet import plotting

X, TARGET = np.ones((8, 4), np.float32), np.ones((8, 2), np.float32)


def test_a_net_is_the_table_of_its_layers():
    net = pn.serial(pn.dense(4, 8), pn.tanh, pn.dense(2))
    shown = net._repr_html_()
    assert shown == f"<pre>{pn.summary(net)}</pre>" == pn.summary(net)._repr_html_()
    assert "parameters: 58" in shown


def test_a_net_of_unknown_sizes_is_its_code():
    assert pn.serial(pn.flatten, pn.dense(2))._repr_html_() == "<pre>serial(flatten, dense(2))</pre>"


def test_names_are_no_markup():
    layer = pn.layer(pn.Spec("<b>&</b>", x="...", y="..."), lambda ops, params, x, key: (x, lambda dy, wrt_x: ((), dy)))
    for shown in (layer._repr_html_(), pn.profile(layer, pn.mse, (), X, X, rounds=1)._repr_html_()):
        assert "&lt;b&gt;&amp;&lt;/b&gt;" in shown
        assert "<b>" not in shown


@pytest.mark.parametrize("is_there", [True, False])
def test_a_fit_has_its_numbers_and_where_matplotlib_is_its_curves(is_there, monkeypatch):
    if is_there and not plotting.is_available():
        pytest.skip("matplotlib is not there")
    monkeypatch.setattr(plotting, "is_available", lambda: is_there)
    net = pn.dense(4, 2)
    found = pn.fit(net, pn.mse, pn.sgd(), net.init(pn.key(0)), (X, TARGET), key=pn.key(1), epochs=3)
    shown = found._repr_html_()
    assert shown.startswith("<pre>Fit(epochs=3, stopped=&#x27;epochs&#x27;, loss=")
    assert ('<img alt="the numbers of each epoch" src="data:image/png;base64,' in shown) is is_there
    assert len(shown.split("<img")[0]) < 300
