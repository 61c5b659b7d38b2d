"""Bad input, and what the message says: what was given, what was expected, what to do."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import purenet as pn

X = np.ones((4, 2), np.float32)
T = np.zeros((4, 1), np.float32)
NET = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
PARAMS = NET.init(pn.key(0))
DENSE = pn.dense(2, 3)
DENSE_PARAMS = DENSE.init(pn.key(0))
GRADS = pn.value_and_grad(NET, pn.mse)(PARAMS, X, T)[1]
CE, EACH = pn.softmax_cross_entropy, pn.mse(reduction="none")


def by_hand(rule):
    """A layer of the user's own: the identity with this pullback."""
    vjp = lambda params, x, key=None: (x, lambda dy, wrt_x=True: ((), rule(dy) if wrt_x else None))  # noqa: E731
    return pn.Layer(lambda key, in_shape=None: (), lambda params, x, key=None: x, vjp, lambda shape: shape, "by_hand")


def pulled(net):
    params = net.init(pn.key(0), (2,))
    y, pullback = net.vjp(params, X)
    return pullback(y)


BAD = {
    # sizes
    "features": (lambda: NET.apply(PARAMS, X[:, :1]), ValueError, r"dense\(2, 3\) takes x of shape \(\.\.\., 2\).*\(4, 1\)"),
    "features, its place": (lambda: NET.apply(PARAMS, X[:, :1]), ValueError, r"in layer 0, dense\(2, 3\)"),
    "features, in vjp": (lambda: NET.vjp(PARAMS, X[:, :1]), ValueError, r"in layer 0, dense\(2, 3\)"),
    "nested place": (
        lambda: pn.serial(pn.tanh, NET).vjp(((), PARAMS), np.ones((4, 5), np.float32)),
        ValueError,
        r"in layer 0, dense\(2, 3\)\n  in layer 1, serial",
    ),
    "sizes that cannot fit": (lambda: pn.serial(pn.dense(2, 3), pn.dense(4, 1)), ValueError, r"takes x of shape \(\.\.\., 4\).*\n.*layer 1"),
    "sizes that do not fit at init": (lambda: NET.init(pn.key(0), (5,)), ValueError, r"takes x of shape \(\.\.\., 2\), but its input has shape \(batch, 5\)"),
    "unknown size": (lambda: pn.dense(3).init(pn.key(0)), ValueError, r"write dense\(inputs, 3\), or init\(key, in_shape="),
    "unknown size in a net": (lambda: pn.serial(pn.tanh, pn.dense(3)).init(pn.key(0)), ValueError, "how many inputs"),
    "scalar input": (lambda: DENSE.apply(DENSE_PARAMS, np.float32(1)), TypeError, "not a float32 scalar"),
    "0-d input": (lambda: DENSE.apply(DENSE_PARAMS, np.ones((), np.float32)), ValueError, r"x has shape \(\)"),
    # dtypes
    "integers": (lambda: NET.apply(PARAMS, X.astype(int)), TypeError, r"not on an int64 array.*write x\.astype\(np\.float32\)"),
    "integers in an activation": (lambda: pn.tanh.apply((), np.ones(3, int)), TypeError, "tanh computes in floating point"),
    "booleans": (lambda: NET.apply(PARAMS, X > 0), TypeError, "bool"),
    "complex": (lambda: pn.tanh.apply((), X + 1j), TypeError, "complex"),
    "float64 x": (lambda: NET.apply(PARAMS, X.astype(float)), TypeError, r"float32 params, but x is float64: write x\.astype"),
    "a list": (lambda: NET.apply(PARAMS, [[0.0, 1.0]]), TypeError, r"takes an array, not a list: write np\.asarray"),
    "a masked array": (lambda: pn.tanh.apply((), np.ma.ones(3)), TypeError, "takes an array"),
    "None": (lambda: NET.apply(PARAMS, None), TypeError, "not None"),
    # params
    "params of another net": (lambda: NET.apply(PARAMS[:2], X), ValueError, "a tuple of 3, one for each layer, not a tuple of 2"),
    "params of another layer": (lambda: DENSE.apply((), X), ValueError, r"DenseParams\(weight, bias\), not a tuple"),
    "params of another dense": (
        lambda: DENSE.apply(pn.dense(2, 5).init(pn.key(0)), X),
        ValueError,
        r"weight \(2, 3\) and bias \(3,\), not weight \(2, 5\) and bias \(5,\)",
    ),
    "params without a bias": (
        lambda: DENSE.apply(pn.dense(2, 3, bias=False).init(pn.key(0)), X),
        ValueError,
        r"takes params = DenseParams\(weight, bias\), not DenseParams\(weight, bias=None\). Are these",
    ),
    "params for tanh": (lambda: pn.tanh.apply(DENSE_PARAMS, X), ValueError, r"takes params = \(\)"),
    "grads of another net": (lambda: pn.sgd_step(PARAMS, GRADS[:2], 0.1), ValueError, "params: a tuple of 3 against a tuple of 2"),
    "grads of another shape": (
        lambda: pn.sgd_step(PARAMS, pn.tree.map(np.transpose, GRADS), 0.1),
        ValueError,
        r"params\[0\]\.weight: \(2, 3\) against \(3, 2\)",
    ),
    "grads that broadcast": (
        lambda: pn.sgd_step((np.ones((2, 3)),), (np.ones(3),), 0.1),
        ValueError,
        r"params\[0\]: \(2, 3\) against \(3,\)",
    ),
    "grads with a hole": (lambda: pn.sgd_step(PARAMS, (GRADS[0], (), None), 0.1), ValueError, r"params\[2\].*None"),
    # keys
    "an int for a key": (lambda: NET.init(0), TypeError, r"the integer 0: write purenet\.key\(0\)"),
    "an int for a key in training": (lambda: NET.apply(PARAMS, X, 3), TypeError, r"write purenet\.key\(3\)"),
    "an int for a key of one layer": (lambda: DENSE.init(1), TypeError, r"write purenet\.key\(1\)"),
    "the function for a key": (lambda: NET.init(pn.key), TypeError, r"write purenet\.key\(0\)"),
    "a float seed": (lambda: pn.key(1.5), TypeError, "an integer seed, not a float"),
    "a negative seed": (lambda: pn.key(-1), ValueError, "from 0 to"),
    "a huge seed": (lambda: pn.key(2**128), ValueError, "from 0 to"),
    "split into what?": (lambda: pn.split(pn.key(0), -1), ValueError, "n >= 0"),
    # losses
    "(n,) against (n, 1)": (lambda: pn.mse.apply(T, T[:, 0]), ValueError, r"y has shape \(4, 1\) and target \(4,\): write target\[:, None\]$"),
    "(n,) against (1, n)": (lambda: pn.mse.apply(T.T, T[:, 0]), ValueError, r"target \(4,\): reshape one, as in target.reshape\(\(1, 4\)\)"),
    "another length": (lambda: pn.mae.apply(T, T[:2]), ValueError, r"\(4, 1\) and target \(2, 1\)"),
    "a target that is a list": (lambda: pn.mse.apply(T, [0.0]), TypeError, "mse's target takes an array, not a list"),
    "integer y": (lambda: pn.mse.apply(np.ones(3, int), np.ones(3)), TypeError, "mse's y"),
    "labels that are floats": (lambda: CE.apply(X, np.zeros(4)), TypeError, r"labels that are integers.*astype\(int\)"),
    "labels beyond the classes": (lambda: CE.apply(X, np.array([0, 1, 2, 0])), ValueError, "from 0 to 1.*found 2"),
    "negative labels": (lambda: CE.apply(X, np.array([0, 1, -1, 0])), ValueError, "found -1"),
    "labels of another batch": (lambda: CE.apply(X, np.array([0, 1])), ValueError, r"\(4, 2\) and target \(2,\)"),
    "probabilities beyond 1": (
        lambda: pn.binary_cross_entropy.apply(2 * X, X),
        ValueError,
        "from 2 to 2: for logits there is binary_cross_entropy_with_logits",
    ),
    "target probabilities beyond 1": (lambda: pn.binary_cross_entropy.apply(X / 2, -X), ValueError, "target goes from -1"),
    "hinge's targets": (lambda: pn.hinge.apply(X, 0 * X), ValueError, "targets of -1 and 1, but found 0"),
    "an empty batch": (lambda: pn.mse.apply(X[:0], X[:0]), ValueError, "no mean over an empty batch"),
    "a weighted loss without weights": (lambda: pn.weighted(pn.mse).apply(T, T), TypeError, r"weighted\(mse\) takes a target \(t, weight\), not"),
    "weights of another length": (lambda: pn.weighted(pn.mse).apply(T, (T, np.ones(3))), ValueError, r"weight of shape \(4,\) or \(4, 1\) for this y, but it has shape \(3,\)"),
    "a weight for each class": (lambda: pn.weighted(pn.nll).apply(X, (np.zeros(4, int), X)), ValueError, r"weight of shape \(4,\) for this y, but it has shape \(4, 2\)"),
    "weights that are a list": (lambda: pn.weighted(pn.mse).apply(T, (T, [1.0])), TypeError, "weight takes an array, not a list"),
    "weights that are complex": (lambda: pn.weighted(pn.mse).apply(T, (T, np.ones(4, complex))), TypeError, "weights that are real numbers, not a complex128"),
    "weights of 0 alone": (lambda: pn.weighted(pn.mse).apply(T, (T, np.zeros(4))), ValueError, r"weighted\(mse\) has no mean: the weights add up to 0"),
    "weights for weights": (lambda: pn.weighted(pn.weighted(pn.mse)), TypeError, r"that tells what each example costs, not weighted\(mse\)"),
    "weights for a loss of one's own": (lambda: pn.weighted(pn.Loss(pn.mse.apply, lambda y, t: pn.mse.vjp(y, t), "own")), TypeError, "that tells what each example costs, not own"),
    "weights for a layer": (lambda: pn.weighted(pn.tanh), TypeError, "takes a loss of this library"),
    "an unknown reduction": (lambda: pn.mse(reduction="max"), ValueError, "'mean', 'sum' or 'none', not 'max'"),
    "class weights of another number": (lambda: CE(weight=(1, 2, 3)).apply(X, np.zeros(4, int)), ValueError, r"y with a last axis of 3, as weight has, not a float32 array of shape \(4, 2\)"),
    "class weights that are no numbers": (lambda: CE(weight="balanced"), ValueError, "weight as numbers from 0 up, one for each place of y's last axis, not 'balanced'"),
    "class weights below 0": (lambda: pn.nll(weight=[1, -1]), ValueError, r"numbers from 0 up, .* not \[1, -1\]"),
    "class weights of two axes": (lambda: pn.nll(weight=np.ones((2, 2))), ValueError, r"not a float64 array of shape \(2, 2\)"),
    "one weight for all classes": (lambda: CE(weight=2.0), ValueError, "one for each place of y's last axis, not 2.0"),
    "labels that are all ignored": (lambda: CE(ignore_index=0).apply(X, np.zeros(4, int)), ValueError, r"softmax_cross_entropy\(ignore_index=0\) has no mean: the weights of the labels add up to 0"),
    "labels of classes of weight 0": (lambda: pn.nll(weight=(0, 1)).apply(X, np.zeros(4, int)), ValueError, "weights of the labels add up to 0"),
    "a wrong label beside one that is ignored": (lambda: CE(ignore_index=-100).apply(X, np.array([-100, 0, -1, 0])), ValueError, "labels from 0 to 1, one for each class of y, but found -1"),
    "an ignore_index that is none": (lambda: pn.nll(ignore_index="pad"), TypeError, "an ignore_index that is an integer, not 'pad'"),
    "a pos_weight of another number": (lambda: pn.binary_cross_entropy_with_logits(pos_weight=(1, 2, 3)).apply(X, X), ValueError, "last axis of 3, as pos_weight has"),
    "a pos_weight below 0": (lambda: pn.binary_cross_entropy_with_logits(pos_weight=-1), ValueError, "pos_weight as numbers from 0 up"),
    "weights for a loss of class weights": (lambda: pn.weighted(pn.nll(weight=(1, 2))), TypeError, r"that tells what each example costs, not nll\(weight=\(1, 2\)\)"),
    "a quantile of percents": (lambda: pn.quantile(50), ValueError, "q between 0 and 1, not 50"),
    "counts below 0": (lambda: pn.poisson_nll.apply(X, -X), ValueError, "target from 0 up, but found -1"),
    "expected counts below 0": (lambda: pn.poisson_nll(log_input=False).apply(-X, X), ValueError, "y from 0 up, but found -1"),
    "the cosine of labels": (lambda: pn.cosine_similarity.apply(X, np.zeros(4, int)), ValueError, "compares each element of y with one of target"),
    "a loss plus a number": (lambda: pn.mse + 1, TypeError, "mse is a loss, to which losses alone can be added, not an int"),
    "a number plus a loss": (lambda: 1 + pn.mse, TypeError, r"losses are added to losses and multiplied by numbers, as in mse \+ 0.3 \* mae"),
    "a loss minus a loss": (lambda: pn.mse - pn.mae, TypeError, "losses are added to losses and multiplied by numbers"),
    "a loss times a loss": (lambda: pn.mse * pn.mae, TypeError, "mse is a loss, which can be multiplied by a finite number, not by a"),
    "a loss times a text": (lambda: pn.mse * "2", TypeError, "by a finite number, not by '2'"),
    "a loss times an array": (lambda: pn.mse * T, TypeError, r"by a finite number, not by a float32 array of shape \(4, 1\)"),
    "a loss times infinity": (lambda: pn.mse * np.inf, TypeError, "by a finite number, not by inf"),
    "a loss for each output of one": (lambda: pn.per_output(pn.mse, pn.nll).apply(T, (T, T)), TypeError, r"per_output\(mse, nll\) takes a tuple of 2 outputs, not a float32 array"),
    "a loss for each output, and targets that are a list": (lambda: pn.per_output(pn.mse, pn.mae).apply((T, T), [T, T]), TypeError, r"takes a tuple of 2 targets, not a list"),
    "a loss for each output, and too many": (lambda: pn.per_output(pn.mse, pn.mae).apply((T, T, T), (T, T)), TypeError, r"takes a tuple of 2 outputs, not a tuple of 3"),
    "a loss for each output, and one weight": (lambda: pn.per_output(pn.mse, pn.mae, weights=(1,)), ValueError, r"weights that are 2 finite numbers, not \(1,\)"),
    "a loss for each output, and a number as weights": (lambda: pn.per_output(pn.mse, pn.mae, weights=0.5), TypeError, r"weights that are 2 finite numbers, not 0.5"),
    "layers for each output": (lambda: pn.per_output(pn.mse, pn.tanh), TypeError, "per_output takes losses, not a"),
    "no loss for any output": (lambda: pn.per_output(), TypeError, "a loss for each output, but none was given"),
    "weights for a loss of several outputs": (lambda: pn.weighted(pn.per_output(pn.mse, pn.mae)), TypeError, r"not per_output\(mse, mae\)"),
    "a mean without a variance": (lambda: pn.gaussian_nll.apply(X, X), TypeError, r"takes y = \(mean, variance\), a tuple of 2, not a float32 array"),
    "a mean, a variance and more": (lambda: pn.gaussian_nll.apply((X, X, X), X), TypeError, "a tuple of 2, not a tuple of 3"),
    "a mean and a variance in a list": (lambda: pn.gaussian_nll.apply([X, X], X), TypeError, "a tuple of 2, not a list"),
    "a variance of another shape": (lambda: pn.gaussian_nll.apply((X, X[:2] ** 2), X), ValueError, r"outputs of one shape and dtype, but mean is .*\(4, 2\), variance is .*\(2, 2\)"),
    "a variance of another dtype": (lambda: pn.gaussian_nll.apply((X, np.ones((4, 2))), X), ValueError, "one shape and dtype, but mean is a float32 .* variance is a float64"),
    "a variance of integers": (lambda: pn.gaussian_nll.apply((X, np.ones((4, 2), int)), X), TypeError, "variance computes in floating point, not on .*: write variance.astype"),
    "a variance that is a number": (lambda: pn.gaussian_nll.apply((X, 1.0), X), TypeError, "variance takes an array"),
    "a mean for another target": (lambda: pn.gaussian_nll.apply((X, X**2), X[:2]), ValueError, "compares each element of y with one of target"),
    "a variance below 0": (lambda: pn.gaussian_nll.apply((X, -np.ones_like(X)), X), ValueError, "variances from 0 up, but found -1: let them come out of softplus"),
    "gaussian_nll's eps": (lambda: pn.gaussian_nll(eps=0), ValueError, "positive eps, not 0"),
    "a triplet of two": (lambda: pn.triplet.apply((X, X), None), TypeError, r"y = \(anchor, positive, negative\), a tuple of 3, not a tuple of 2"),
    "a triplet of numbers": (lambda: pn.triplet.apply((X[0, 0],) * 3, None), ValueError, r"outputs of shape \(batch, features\), not a"),
    "a triplet of no examples": (lambda: pn.triplet.apply((X[:0],) * 3, None), ValueError, r"has no mean over an empty batch: y has shape \(0, 2\)"),
    "triplet's margin": (lambda: pn.triplet(margin=0), ValueError, "positive margin, not 0"),
    "triplet's reduction": (lambda: pn.triplet(1.0, "max"), ValueError, "triplet takes reduction 'mean', 'sum' or 'none', not 'max'"),
    "a gradient of a loss that is many numbers": (lambda: pn.value_and_grad(pn.dense(2, 2), EACH), ValueError, r"value_and_grad takes a loss that is one number, not mse\(reduction='none'\): write reduction=\"mean\" or \"sum\", or go back by hand"),
    "fit with a loss that is many numbers": (lambda: pn.fit(NET, EACH, pn.adam(), PARAMS, (X, T), key=pn.key(0), epochs=1), ValueError, "loss that is one number"),
    "train with a loss that is many numbers": (lambda: next(pn.train(NET, EACH, pn.adam(), PARAMS, [(X, T)], key=pn.key(0))), ValueError, "loss that is one number"),
    "a loss of data that is many numbers": (lambda: pn.evaluate(NET, EACH, PARAMS, (X, T)), ValueError, "evaluate takes a loss that is one number"),
    "a sum of many numbers": (lambda: EACH + pn.mse, ValueError, "a sum is of losses that are one number, not mse"),
    "a loss that is many numbers, times 2": (lambda: 2 * EACH, ValueError, "a sum is of losses that are one number"),
    "a loss of outputs that is many numbers": (lambda: pn.per_output(EACH, pn.mse), ValueError, "a sum is of losses that are one number"),
    "weights for a loss that is many numbers": (lambda: pn.weighted(EACH), ValueError, "weighted takes a loss that is one number"),
    "a dE of another shape": (lambda: EACH.vjp(X, X)[1](np.ones(4)), ValueError, r"takes a dE of the shape of E, \(4, 2\), not a float64 array of shape \(4,\)"),
    "a dE for each element of rows": (lambda: pn.nll(reduction="none").vjp(X, X)[1](X), ValueError, r"takes a dE of the shape of E, \(4,\)"),
    "label smoothing": (lambda: CE(1.5), ValueError, "from 0 to below 1, not 1.5"),
    "huber's delta": (lambda: pn.huber(0), ValueError, "positive delta"),
    # gradients handed in
    "params in the rule of a net": (lambda: NET.vjp(PARAMS[:1], X), ValueError, r"one for each layer, not a tuple of 1"),
    "params in the rule of an activation": (lambda: pn.tanh.vjp((1,), X), ValueError, "tanh has no parameters"),
    "integers in the rule of an activation": (lambda: pn.tanh.vjp((), np.ones(2, int)), TypeError, "computes in floating point"),
    "integers for a loss": (lambda: pn.mse.vjp(np.ones(2, int), np.ones(2, int)), TypeError, "mse's y computes in floating point"),
    "dE/dY of another shape": (lambda: NET.vjp(PARAMS, X)[1](T[:, 0]), ValueError, r"dE/dY has shape \(4,\), but Y has shape \(4, 1\)"),
    "dE/dY of another dtype": (lambda: NET.vjp(PARAMS, X)[1](T.astype(float)), TypeError, r"write dy\.astype\(np\.float32\)"),
    "dE/dY that is a number": (lambda: pn.tanh.vjp((), X)[1](1.0), TypeError, "the pullback of tanh takes an array, not a float"),
    # building
    "a constructor for a layer": (lambda: pn.serial(pn.dense, pn.tanh), TypeError, r"argument 0 is a function, not a layer: write dense\(\.\.\.\)"),
    "a function of NumPy for a layer": (lambda: pn.serial(np.tanh), TypeError, r"make one of it, with activation\(tanh, its derivative\)"),
    "a loss for a layer": (lambda: pn.serial(pn.dense(2, 3), pn.mse), TypeError, "argument 1 is a mse, not a layer$"),
    "features after a dense": (lambda: pn.serial(pn.dense(1, 32), pn.dense(16, 1)), ValueError, r"shape \(batch, \.\.\., 32\)"),
    "an optimizer without its parentheses": (
        lambda: pn.fit(NET, pn.mse, pn.adam, PARAMS, (X, T), key=pn.key(0), epochs=1),
        TypeError,
        r"an optimizer stands after the loss, not a function: write adam\(lr=\.\.\.\), with parentheses",
    ),
    "an optimizer of Optax": (
        lambda: pn.fit(NET, pn.mse, namedtuple("Adam", "init update")(None, None), PARAMS, (X, T), key=None, epochs=1),
        TypeError,
        "not an Adam: with Optax, write the loop yourself, by value_and_grad",
    ),
    "a net for params": (
        lambda: pn.fit(NET, pn.mse, pn.adam(), NET, (X, T), key=pn.key(0), epochs=1),
        TypeError,
        r"not the layer serial.*write net\.init\(key\)",
    ),
    "no epochs": (lambda: pn.fit(NET, pn.mse, pn.adam(), PARAMS, (X, T), key=pn.key(0), epochs=0), ValueError, "positive integer, not 0"),
    "lengths that are a list": (
        lambda: pn.lstm(2, 3).apply(pn.lstm(2, 3).init(pn.key(0)), (np.ones((2, 4, 2), np.float32), [3, 4])),
        TypeError,
        r"an array as lengths, not a list: write np\.asarray\(lengths\)",
    ),
    "one example with its lengths": (
        lambda: pn.lstm(2, 3).apply(pn.lstm(2, 3).init(pn.key(0)), (np.ones((4, 2), np.float32), np.array([3]))),
        ValueError,
        r"x of shape \(batch, time, 2\), but x has shape \(4, 2\): write x\[None\]",
    ),
    "a loss that is not one number": (
        lambda: pn.value_and_grad(NET, pn.Loss(lambda y, t: y - t, lambda y, t: (y - t, lambda dE=1.0: y), "diff"))(PARAMS, X, T),
        ValueError,
        r"diff gives a float32 array of shape \(4, 1\), but a loss is one number",
    ),
    "a loss whose gradient broadcasts": (
        lambda: pn.value_and_grad(NET, pn.Loss(np.sum, lambda y, t: (np.sum(y), lambda dE=1.0: y - y[:, 0]), "broad"))(PARAMS, X, T),
        ValueError,
        r"the pullback of broad gives a float32 array of shape \(4, 4\) for a Y of shape \(4, 1\)",
    ),
    "a loss whose gradient is float64": (
        lambda: pn.value_and_grad(NET, pn.Loss(np.mean, lambda y, t: (np.mean(y), lambda dE=1.0: y * np.float64(dE)), "leaks"))(PARAMS, X, T),
        TypeError,
        r"the pullback of leaks gives a float64 array of shape \(4, 1\) for a Y of shape \(4, 1\) and dtype float32",
    ),
    "a layer by hand whose dE/dX is float64": (
        lambda: pulled(pn.serial(pn.dense(2, 3), by_hand(lambda dy: dy * np.float64(1)), pn.tanh)),
        ValueError,
        r"by_hand: its pullback gives a float64 array of shape \(4, 3\) as dE/dX, but x is a float32 array of shape \(4, 3\)",
    ),
    "a layer by hand whose dE/dX broadcasts": (
        lambda: pulled(pn.serial(pn.dense(2, 3), pn.residual(by_hand(lambda dy: dy[:, :1])))),
        ValueError,
        r"by_hand: its pullback gives a float32 array of shape \(4, 1\) as dE/dX, but x is a float32 array of shape \(4, 3\)",
    ),
    "a list of layers": (lambda: pn.serial([pn.tanh]), TypeError, r"write serial\(\*layers\)"),
    "a string for a layer": (lambda: pn.serial("tanh"), TypeError, "argument 0 is a str, not a layer"),
    "a layer called as a function": (lambda: NET(PARAMS, X), TypeError, r"write layer\.apply\(params, x\)"),
    "an activation called as a function": (lambda: pn.tanh(X), TypeError, "tanh is a layer, which is a value"),
    "a loss called as a function": (lambda: pn.mse(T, T), TypeError, r"mse is a loss.*write loss\.apply\(y, target\)"),
    "no sizes": (lambda: pn.dense(), TypeError, r"\(in, out\) or \(out\), not 0 sizes"),
    "a size of 0": (lambda: pn.dense(2, 0), ValueError, "positive integers, not 0"),
    "a size that is a float": (lambda: pn.dense(2.0, 3), ValueError, "positive integers, not 2.0"),
    "reshape to another size": (lambda: pn.reshape(5).apply((), X), ValueError, r"cannot hold an example of shape \(2,\)"),
    "reshape with two unknowns": (lambda: pn.reshape(-1, -1), ValueError, "only one size"),
    "a mode of padding of NumPy": (lambda: pn.pad(1, "edge"), ValueError, "constant, reflect, replicate, circular, not 'edge': write mode=\"replicate\""),
    "no mode of padding": (lambda: pn.pad(1, mode=2), ValueError, "constant, reflect, replicate, circular, not 2$"),
    "a value beside a mode": (lambda: pn.pad(1, "reflect", 2.0), ValueError, "a value only in mode \"constant\", not beside mode='reflect'"),
    "a value that is text": (lambda: pn.pad(1, value="0"), TypeError, "pad takes value as a number, not '0'"),
    "more cells than can be reflected": (lambda: pn.pad(((0, 2),), "reflect").shape((2, 1)), ValueError, r"takes 3 cells or more along an axis where it adds \(0, 2\), but an example has shape \(2, 1\)"),
    "no cells to be repeated": (lambda: pn.pad((1,), "replicate").apply((), np.ones((1, 0, 1))), ValueError, "takes 1 cells or more"),
    "bounds in the wrong order": (lambda: pn.hard_tanh(min_val=1), ValueError, "a min_val below its max_val, not 1 and 1.0"),
    "a batch to be moved": (lambda: pn.permute(0, 2, 1), ValueError, r"axes of x from 1 on.*0 is the batch, which stays: not \(0, 2, 1\)"),
    "an axis left out": (lambda: pn.permute(3, 1), ValueError, r"each of them once.*not \(3, 1\)"),
    "no axes": (lambda: pn.permute(), ValueError, "takes the axes of x"),
    "axes that x has not": (lambda: pn.permute(2, 1).apply((), X), ValueError, r"permute\(2, 1\) takes x of shape \(batch, axis1, axis2\)"),
    "channels that cannot be shuffled": (lambda: pn.pixel_shuffle(2).shape((3, 3, 6)), ValueError, r"takes a multiple of 4 channels, not 6"),
    "a scale of 0": (lambda: pn.pixel_shuffle(0), ValueError, "a scale that is an int of at least 1"),
    "neither a scale nor a size": (lambda: pn.upsample(method="bilinear"), TypeError, r"takes a scale or a size, as in upsample\(2\)"),
    "a scale and a size": (lambda: pn.upsample(2, size=4), TypeError, "takes a scale or a size"),
    "sizes of other axes": (lambda: pn.upsample(size=(4, 4)).apply((), np.ones((1, 2, 1))), ValueError, r"upsample\(size=\(4, 4\)\) takes x of shape \(batch, height, width, channels\)"),
    "a size of no cells": (lambda: pn.upsample(size=0), ValueError, "takes a size that is an int of at least 1"),
    "no cells to be made larger": (lambda: pn.upsample(size=3).shape((0, 1)), ValueError, "takes at least one cell along each axis"),
    "swapped net and loss": (lambda: pn.value_and_grad(pn.mse, NET), TypeError, "takes a layer and a loss"),
    "a function for a loss": (lambda: pn.value_and_grad(NET, np.mean), TypeError, "takes a layer and a loss"),
    "activation of a number": (lambda: pn.activation(1, np.cos), TypeError, "takes a function and its derivative"),
    "an initializer without its parentheses": (
        lambda: pn.dense(2, 3, weight_init=pn.initializers.normal).init(pn.key(0)),
        TypeError,
        "needs parentheses",
    ),
    "an initializer of another shape": (
        lambda: pn.dense(2, 3, weight_init=lambda key, shape: np.ones(2, np.float32)).init(pn.key(0)),
        ValueError,
        r"asked its initializer for shape \(2, 3\), but got a float32 array of shape \(2,\)",
    ),
    "fans of a vector": (lambda: pn.initializers.he_normal(pn.key(0), (3,)), ValueError, "has no fans"),
    "a negative std": (lambda: pn.initializers.normal(-1.0), ValueError, "a number from 0 up"),
    "prelu's channels": (lambda: pn.prelu(3).init(pn.key(0), (2,)), ValueError, r"x of shape \(\.\.\., 3\).*\(batch, 2\)"),
    "halves of an odd axis": (lambda: pn.glu.apply((), np.ones((4, 3), np.float32)), ValueError, "glu cuts the last axis into 2 equal parts, but its size is 3"),
    "halves of an odd axis, in vjp": (lambda: pn.swiglu.vjp((), np.ones((4, 1), np.float32)), ValueError, "swiglu cuts the last axis.*2 equal parts, but its size is 1"),
    "halves of an odd axis, at init": (lambda: pn.serial(pn.dense(2, 5), pn.glu), ValueError, "glu cuts the last axis.*2 equal parts, but its size is 5"),
    # trees
    "unflatten too few": (lambda: pn.tree.unflatten(pn.tree.flatten((1, 2))[1], [1]), ValueError, "has 2 leaves, but 1"),
    "unravel another size": (lambda: pn.tree.ravel(PARAMS)[1](np.ones(3)), ValueError, r"shape \(13,\), not \(3,\)"),
    "ravel a number": (lambda: pn.tree.ravel((PARAMS, 1.5)), TypeError, "^ravel takes an array, not a float"),
    "map over other keys": (lambda: pn.tree.map(max, {"a": 1}, {"b": 1}), ValueError, r"keys \['a'\] against \['b'\]"),
    "map over other types": (lambda: pn.tree.map(max, (1,), [1]), ValueError, "tree: a tuple of 1 against a list of 1"),
    "map over another depth": (lambda: pn.tree.map(max, (1, (2,)), (1, 2)), ValueError, r"tree\[1\]: a tuple of 1 against an int"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_says_what_to_do(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


def nan_at(tree, path):
    return pn.tree.unflatten(
        pn.tree.flatten(tree)[1],
        [np.where(np.ones_like(leaf), np.nan, leaf) if at == path else leaf for at, leaf in pn.tree.items(tree)],
    )


def test_nan_in_the_loss_names_what_was_nan_first():
    evaluate = pn.value_and_grad(NET, pn.mse, check_finite=True)
    assert np.isfinite(evaluate(PARAMS, X, T)[0])
    with pytest.raises(ValueError, match="mse is nan: x is not finite"):
        evaluate(PARAMS, X * np.float32(np.nan), T)
    with pytest.raises(ValueError, match="mse is nan: target is not finite"):
        evaluate(PARAMS, X, T * np.float32(np.nan))
    with pytest.raises(ValueError, match=r"params\[2\].weight is not finite"):
        evaluate(nan_at(PARAMS, "[2].weight"), X, T)
    overflowing = pn.serial(pn.dense(2, 3), pn.serial(pn.activation(np.exp, np.exp)), pn.dense(3, 1))
    params = overflowing.init(pn.key(0), (2,))
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match=r"the output of net\[1\]\[0\], activation\(exp, exp\), is not finite"),
    ):
        pn.value_and_grad(overflowing, pn.mse, check_finite=True)(params, 1e3 * X, T)


def test_without_the_check_nan_passes_through():
    assert np.isnan(pn.value_and_grad(NET, pn.mse)(PARAMS, X * np.float32(np.nan), T)[0])
