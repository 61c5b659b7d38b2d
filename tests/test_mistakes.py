"""What newcomers wrote, and what they are told: the training kit's part of test_errors.py."""

from __future__ import annotations

import functools
import inspect
import math
import re

import numpy as np
import pytest

import purenet as pn
from purenet import schedules as s
from purenet.layers.hints import examples_are_rows, flatten_first, of_images, one_feature
from tests.kit import bits

X = np.ones((8, 2), np.float32)
T = np.zeros((8, 1), np.float32)
NET = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
PARAMS = NET.init(pn.key(0))
GRADS = pn.value_and_grad(NET, pn.mse)(PARAMS, X, T)[1]

FOUND = pn.fit(NET, pn.mse, pn.adam(), PARAMS, (X, T), key=pn.key(0), epochs=3)
ADAM = pn.adam()
ONE, WIDE, CONV = pn.dense(1, 1), pn.dense(16, 1), pn.conv(3, 4, 3)
LABELS, SCORES = np.array([0, 1, 2, 0]), np.linspace(0.1, 1.3, 12).reshape(4, 3)


class Frame:
    """What a data frame looks like from outside."""

    shape = (8, 2)

    def to_numpy(self):
        return X


def fit(params=PARAMS, data=(X, T), optimizer=ADAM, **options):
    return pn.fit(NET, pn.mse, optimizer, params, data, **{"key": pn.key(0), "epochs": 3, **options})


BAD = {
    # schedules
    "a maker of schedules for a schedule": (lambda: pn.sgd(s.cosine), TypeError, r"cosine makes a schedule.*write schedules.cosine\(\.\.\.\)"),
    "likewise, as a rate of decay": (lambda: pn.weight_decay(s.cosine), TypeError, r"weight_decay\(cosine\): schedules.cosine makes"),
    "likewise, after a warm-up": (lambda: s.warmup(s.cosine, 10), TypeError, "cosine makes a schedule"),
    "a schedule without an argument": (lambda: pn.adam(lambda: 0.1), TypeError, r"adam\(lr=<lambda>\): a schedule is a function of the step count 0, 1.*fails for 0"),
    "a schedule that begins with 1": (lambda: pn.adam(lambda t: t**-0.5), TypeError, "fails for 0: 0.0 cannot be"),
    "a schedule of negative rates": (lambda: pn.adam(lambda t: -0.1), ValueError, "at step 0: learning rate is a finite number from 0 up, not -0.1"),
    "a net for a rate": (lambda: pn.adam(NET), TypeError, "fails for 0: serial.*is a layer"),
    "a preset for a rate": (lambda: pn.adam(pn.elu), TypeError, "learning rate is a number, not a Layer"),
    "a schedule for the number of sgd_step": (lambda: pn.sgd_step(PARAMS, GRADS, s.constant(0.1)), TypeError, r"a number, not a Schedule: write sgd_step\(params, grads, schedule\(step\)\)"),
    "no rate": (lambda: pn.sgd_step(PARAMS, GRADS, None), TypeError, "sgd_step takes lr, a number, not None$"),
    "changes in a list": (lambda: s.piecewise(0.1, [10, 20]), TypeError, r"a dict of rates by step, not a list: write \{100: 0.01\}"),
    "changes in pairs": (lambda: s.piecewise(0.1, [(10, 0.01)]), TypeError, "a dict of rates by step"),
    "changes at negative steps": (lambda: s.piecewise(0.1, {-1: 0.01}), ValueError, "a whole number from 0 up, not -1"),
    "changes to negative rates": (lambda: s.piecewise(0.1, {10: -0.01}), ValueError, "the rate from step 10 on is a finite number from 0 up, not -0.01"),
    "a negative rate": (lambda: s.cosine(-0.1, 10), ValueError, r"cosine\(-0.1, steps=10\): initial is a finite number from 0 up, not -0.1"),
    "a negative end": (lambda: s.polynomial(0.1, 10, end=-0.1), ValueError, "end is a finite number"),
    "a rate that is text": (lambda: s.exponential("0.1", 0.5), TypeError, "exponential takes initial as a number, not '0.1'"),
    "a negative rate to reduce": (lambda: s.reduce_on_plateau(-0.1), ValueError, "initial is a finite number"),
    # chain and step
    "a list of links": (lambda: pn.chain([pn.clip_by_value(1.0), pn.adam()]), TypeError, r"not a list: write chain\(\*links\)"),
    "an optimizer that is not the last": (
        lambda: pn.chain(pn.adam(), pn.clip_by_value(1.0)),
        TypeError,
        r"was given adam\(\), clip_by_value\(1.0\): write chain\(clip_by_value\(1.0\), adam\(\)\)",
    ),
    "two optimizers": (lambda: pn.chain(pn.adam(), pn.sgd()), TypeError, "take one of them"),
    "no optimizer": (lambda: pn.chain(pn.clip_by_value(1.0)), TypeError, r"add sgd\(\)"),
    "a rate for an optimizer": (lambda: pn.chain(pn.clip_by_value(1.0), 0.1), TypeError, r"clip_by_value\(1.0\), 0.1: add sgd\(\)"),
    "an optimizer without parentheses in a chain": (lambda: pn.chain(pn.clip_by_value(1.0), pn.sgd), TypeError, r"write sgd\(\.\.\.\)"),
    "a transform without parentheses in a chain": (lambda: pn.chain(pn.ema, pn.sgd()), TypeError, r"write ema\(\.\.\.\)"),
    "a step without a state": (
        lambda: pn.adam().step(PARAMS, GRADS),
        ValueError,
        r"adam\(\) keeps an OptimizerState.*given no state: make it by init, as in state = optimizer.init\(params\)",
    ),
    "a step of a chain without a state": (lambda: pn.chain(pn.clip_by_value(1.0), pn.adam()).step(PARAMS, GRADS), ValueError, "given no state"),
    "a step of another chain's state": (
        lambda: pn.chain(pn.ema(), pn.adam()).step(PARAMS, GRADS, pn.adam().init(PARAMS)),
        ValueError,
        r"chain\(ema\(0.999\), adam\(\)\) keeps an AverageState, but was given an OptimizerState",
    ),
    "a step without a state, by path": (lambda: pn.per_path({"[0]": pn.sgd()}, pn.adam()).step(PARAMS, GRADS), ValueError, "a tuple of 2 states, but was given no state"),
    # data
    "arrays without a key": (lambda: pn.data.batches(X, T, size=4), TypeError, r"a key first, or None.*not a float32 array of shape \(8, 2\): write batches\(key, x, target"),
    "an integer for the key of batches": (lambda: pn.data.batches(0, X, size=4), TypeError, r"the integer 0: write purenet.key\(0\)"),
    "arrays in a tuple": (lambda: pn.data.batches(None, (X, T), size=4), TypeError, r"one by one, not in a tuple: write batches\(key, \*arrays"),
    "numbers in a list": (lambda: pn.data.batches(None, [[1.0]], size=4), TypeError, r"not a list: write np.asarray"),
    "arrays in a list": (lambda: pn.data.batches(None, [X, T], size=4), TypeError, "not a list: hand in its arrays one by one"),
    "a data frame": (lambda: pn.data.batches(None, Frame(), size=4), TypeError, r"takes arrays, not a Frame: write .to_numpy\(\)"),
    "x alone": (lambda: fit(data=X), TypeError, r"fit takes x and a target, not a float32 array of shape \(8, 2\) alone: write \(x, target\)"),
    "data in a list": (lambda: fit(data=[X, T]), TypeError, r"not arrays: write \(x, target\)"),
    "data in lists": (lambda: fit(data=([[0.0, 1.0]], [[1.0]])), TypeError, "not a list: write np.asarray"),
    "arrays for batches": (lambda: pn.train(NET, pn.mse, pn.adam(), PARAMS, (X, T), key=None), TypeError, r"not arrays: write lambda key: pn.data.batches\(key, x, target, size=32\)"),
    "an iterator for three epochs": (
        lambda: fit(data=iter([(X, T)])),
        ValueError,
        "for 3 epochs, but the batches are an iterator, which is used up after one: give a list of batches, or a function of a key",
    ),
    "an iterator, in train": (lambda: pn.train(NET, pn.mse, pn.adam(), PARAMS, iter([(X, T)]), key=None, epochs=2), ValueError, "an iterator, which is used up"),
    "an iterator that is used up": (lambda: fit(data=iter([]), epochs=1), ValueError, "no batch 1 in epoch 1: the iterator is used up"),
    # fit and train, at the first try
    "the data of fit apart": (lambda: pn.fit(NET, pn.mse, pn.adam(), PARAMS, X, T, key=None, epochs=1), TypeError, r"^fit takes 5 arguments without a name, but 6 were given: x and the target stand together: write \(x, target\)$"),
    "the data of train apart": (lambda: pn.train(NET, pn.mse, pn.adam(), PARAMS, X, T, key=None), TypeError, r"but 6 were given: .* write lambda key: pn.data.batches\(key, x, target, size=32\)$"),
    "an option without its name": (lambda: pn.predict(NET, PARAMS, X, 32, "numpy"), TypeError, "takes 4 arguments without a name, but 5 were given: the others have one, as in engine=...$"),
    "fit without a key": (lambda: pn.fit(NET, pn.mse, pn.adam(), PARAMS, (X, T), epochs=1), TypeError, r"^fit lacks key: add key=pn.key\(0\)$"),
    "fit without a key and epochs": (lambda: pn.fit(NET, pn.mse, pn.adam(), PARAMS, (X, T)), TypeError, r"^fit lacks key and epochs: add key=pn.key\(0\), epochs=10$"),
    "train without a key": (lambda: pn.train(NET, pn.mse, pn.adam(), PARAMS, [(X, T)]), TypeError, r"^train lacks key: add key=pn.key\(0\)$"),
    "batches without a size": (lambda: pn.data.batches(None, X), TypeError, "^batches lacks size: add size=32$"),
    "a loss before the net": (lambda: pn.value_and_grad(pn.mse, NET), TypeError, r"not a mse and a Layer: they are swapped, write value_and_grad\(serial\(dense"),
    "a loss before the net, in fit": (lambda: pn.fit(pn.mse, NET, pn.adam(), PARAMS, (X, T), key=None, epochs=1), TypeError, r"^fit takes .*swapped, write fit\(serial\(.*\), mse, \.\.\.\)"),
    "a loss before the net, in train": (lambda: pn.train(pn.mse, NET, pn.adam(), PARAMS, [(X, T)], key=None), TypeError, "^train takes .*swapped"),
    "a loss before the net, in evaluate": (lambda: pn.evaluate(pn.mse, NET, PARAMS, (X, T)), TypeError, "^evaluate takes .*swapped"),
    "a function for a loss": (lambda: pn.value_and_grad(NET, lambda y, t: 0.0), TypeError, r"pn.loss\(f, df\) with its derivative by y, or pn.from_jax\(f\)"),
    "a function for a loss, in train": (lambda: pn.train(NET, lambda y, t: 0.0, pn.adam(), PARAMS, [(X, T)], key=None), TypeError, r"^train takes .*pn.loss\(f, df\)"),
    "a function for a loss, in evaluate": (lambda: pn.evaluate(NET, lambda y, t: 0.0, PARAMS, (X, T)), TypeError, r"^evaluate takes .*pn.loss\(f, df\)"),
    "what makes an optimizer": (lambda: pn.fit(NET, pn.mse, pn.sgd, PARAMS, (X, T), key=None, epochs=1), TypeError, r"an optimizer stands after the loss, not a function: write sgd\(lr=\.\.\.\), with parentheses"),
    "what makes an optimizer, in train": (lambda: pn.train(NET, pn.mse, pn.lion, PARAMS, [(X, T)], key=None), TypeError, r"write lion\(lr=\.\.\.\)"),
    "what makes an optimizer, resumed": (lambda: fit(optimizer=pn.sgd, resume=FOUND, epochs=4), TypeError, r"write sgd\(lr=\.\.\.\)"),
    "what makes a transform": (lambda: fit(optimizer=pn.clip_by_value), TypeError, r"write chain\(clip_by_value\(\.\.\.\), sgd\(\)\)"),
    "a class for an optimizer": (lambda: fit(optimizer=Frame), TypeError, r"write adam\(\), with parentheses"),
    "what makes another optimizer": (lambda: fit(optimizer=pn.rmsprop), TypeError, r"write rmsprop\(lr=\.\.\.\), with parentheses$"),
    "a step": (lambda: fit(optimizer=pn.sgd_step), TypeError, r"write adam\(\), with parentheses$"),
    "what makes a chain": (lambda: fit(optimizer=pn.chain), TypeError, r"an optimizer stands after the loss, not a function: write adam\(\), with parentheses"),
    "a number for an optimizer": (lambda: fit(optimizer=0.1), TypeError, r"not a float: write sgd\(lr=0.1\)"),
    "E beside the gradients": (lambda: pn.sgd_step(PARAMS, (np.float32(1), GRADS), 0.1), ValueError, r"a tuple \(E, grads\): write E, grads = value_and_grad"),
    "E beside the gradients, of an optimizer": (lambda: pn.adam().step(PARAMS, (1.0, GRADS), pn.adam().init(PARAMS)), ValueError, r"a tuple \(E, grads\): write E, grads"),
    "E beside the gradients, by path": (
        lambda: pn.chain(pn.freeze("[0]"), pn.adam()).step(PARAMS, (1.0, GRADS), pn.chain(pn.freeze("[0]"), pn.adam()).init(PARAMS)),
        ValueError,
        r"a tuple \(E, grads\): write E, grads",
    ),
    "E for the gradients": (lambda: pn.sgd_step(PARAMS, np.float32(1), 0.1), ValueError, "one number, a float32 scalar: value_and_grad gives E before them, E, grads = "),
    "E for the gradients, of an optimizer": (lambda: pn.adam().step(PARAMS, 1.0, pn.adam().init(PARAMS)), ValueError, "one number, a float: value_and_grad gives E before them"),
    "x before params": (lambda: pn.predict(NET, X, PARAMS), TypeError, r"predict takes params before x, but they are swapped: write predict\(\.\.\., params, x, \.\.\.\)"),
    "x before params, of one layer": (lambda: pn.predict(ONE, X, ONE.init(pn.key(0))), TypeError, "swapped"),
    "data before params": (lambda: pn.fit(NET, pn.mse, pn.adam(), (X, T), PARAMS, key=None, epochs=1), TypeError, "fit takes params before data, but they are swapped"),
    "data before params, in evaluate": (lambda: pn.evaluate(NET, pn.mse, (X, T), PARAMS), TypeError, "evaluate takes params before data, but they are swapped"),
    "two inputs apart": (lambda: pn.predict(NET, PARAMS, X, X), ValueError, r"batch_size is a positive integer, not <a float32 array of shape \(8, 2\)>: several inputs stand in one tuple, write \(a, b\)$"),
    "an array for a number of epochs": (lambda: fit(epochs=X), ValueError, r"epochs, a positive integer, not <a float32 array of shape \(8, 2\)>"),
    "a number for the progress": (lambda: fit(progress=10), TypeError, r"fit takes progress, True or False, or None .*not 10: write callbacks="),
    "a function for the progress": (lambda: fit(progress=print), TypeError, "not print: write callbacks="),
    # what is measured, and how it is chosen
    "labels before scores": (lambda: pn.metrics.confusion_matrix(LABELS, SCORES), ValueError, r"takes the outputs first, \(y, target\), but the target is a float64 array of shape \(4, 3\) of scores.*write confusion_matrix\(scores, labels\), or of soft targets"),
    "labels before scores, averaged": (lambda: pn.metrics.f1(LABELS, SCORES), ValueError, r"takes the outputs first, \(y, target\)"),
    "labels before scores, of one output": (lambda: pn.metrics.precision(LABELS, SCORES[:, 0]), ValueError, r"outputs first.*write precision\(scores > 0.5, labels\)"),
    "labels before scores, of the first k": (lambda: pn.metrics.top_k_accuracy(LABELS, SCORES, k=2), ValueError, r"outputs first.*write top_k_accuracy\(scores, labels\)"),
    "a metric of two outputs": (lambda: pn.metrics.accuracy((SCORES, SCORES), (LABELS, LABELS)), TypeError, r"accuracy takes one output and its target, not a tuple of 2: write lambda y, t: accuracy\(y\[0\], t\[0\]\)"),
    "a metric of numbers, of two outputs": (lambda: pn.metrics.r2((SCORES, SCORES), (SCORES, SCORES)), TypeError, r"write lambda y, t: r2\(y\[0\], t\[0\]\)"),
    "a metric of one output and two targets": (lambda: pn.metrics.perplexity(SCORES, (LABELS, LABELS)), TypeError, "perplexity takes one output"),
    "the number of a layer for a path": (lambda: pn.freeze(0), TypeError, r'freeze takes paths of params, texts such as .*, not an int: write "\[0\]"$'),
    "the numbers of layers for paths": (lambda: pn.freeze([0, 2]), TypeError, r'not a list: write "\[0\]", "\[2\]"$'),
    "a function for a path": (lambda: pn.freeze(lambda p: True), TypeError, r"not a function: tree.items\(params\) has those that there are"),
    "the number of a layer, by path": (lambda: pn.per_path({0: pn.sgd()}, pn.adam()), TypeError, r'per_path takes paths.* write "\[0\]"$'),
    "pairs for a dict by path": (lambda: pn.per_path((("[0]", pn.sgd()),), pn.adam()), TypeError, r'per_path takes a dict of optimizers by path, as in per_path\(\{"\[0\]": sgd\(0.01\)\}, otherwise=adam\(\)\), not a tuple'),
    "a name of what decays": (lambda: pn.adamw(which="bias"), TypeError, "adamw takes which, a function of a parameter, as in which=lambda p: p.ndim > 1, not 'bias': by their paths, per_path"),
    "a name of what decays, of a transform": (lambda: pn.weight_decay(0.1, which="bias"), TypeError, "weight_decay takes which, a function"),
    "a name of what is penalized": (lambda: pn.l2(0.1, which=0), TypeError, "l2 takes which, a function of a parameter.*not 0"),
    "a name of what is made orthogonal": (lambda: pn.muon(which="bias"), TypeError, "muon takes which, a function"),
    # losses
    "labels for mse": (lambda: pn.mse.apply(SCORES, LABELS), ValueError, r"y has shape \(4, 3\) and target \(4,\): of labels, write data.one_hot\(target, 3\)$"),
    "labels in a column": (lambda: pn.softmax_cross_entropy.apply(SCORES, LABELS[:, None]), ValueError, r"and target \(4, 1\): write target\[:, 0\]$"),
    "labels in a list": (lambda: pn.softmax_cross_entropy.apply(SCORES, [0, 1, 2, 0]), TypeError, r"not a list: write np.asarray\(target\)$"),
    "dE of an array": (lambda: pn.mse.vjp(SCORES, SCORES)[1](np.ones(5)), ValueError, r"mse: its pullback takes a dE that is one number, as E is, not a float64 array of shape \(5,\): .*\"none\" there is one for each of the elements"),
    "dE of an array that would broadcast": (lambda: pn.softmax_cross_entropy.vjp(SCORES, LABELS)[1](np.ones((4, 1))), ValueError, "one number, as E is.* each of the rows"),
    # trees
    "a tree before the function": (lambda: pn.tree.map(PARAMS, np.negative), TypeError, r"tree.map takes a function, then a tree, not a tuple and an ufunc: they are swapped, write tree.map\(f, tree\)"),
    "no function for a tree": (lambda: pn.tree.map(PARAMS, PARAMS), TypeError, "tree.map takes a function, then a tree, not a tuple and a tuple$"),
    "a dtype before the tree": (lambda: pn.tree.cast(np.float64, PARAMS), TypeError, r"tree.cast takes a tree, then a dtype, not a tuple of 3: they are swapped, write tree.cast\(tree, dtype\)"),
    "no dtype": (lambda: pn.tree.cast(PARAMS, "floaty"), TypeError, "then a dtype, not a str$"),
    "a dtype of integers": (lambda: pn.tree.cast(PARAMS, int), TypeError, r"a floating-point dtype, such as np.float64, not int64: for other numbers, write tree.map"),
    # what follows the loss, and pictures
    "a plateau for a rate": (lambda: pn.adam(s.reduce_on_plateau(0.1)), TypeError, r"not a Plateau: train an epoch at a time, .*fit\(net, loss, sgd\(watch.rate\), \.\.\., resume=found\)"),
    "a Fit for errors": (lambda: pn.plotting.error_curve(FOUND), TypeError, r'error_curve takes errors, one number for each epoch, not a Fit: write found.history\["loss"\]$'),
    "a history for errors": (lambda: pn.plotting.error_curve(FOUND.history), TypeError, r'not a dict: write history\["loss"\]$'),
    "a net and its params for a picture": (
        lambda: pn.plotting.decision_boundary(NET, PARAMS, X, T),
        TypeError,
        r"write decision_boundary\(lambda points: net.apply\(params, points\), x, target\)$",
    ),
    "a net for three pictures": (lambda: pn.plotting.overview([1.0], NET, X, T), TypeError, r"write overview\(errors, lambda points: net.apply\(params, points\), x, target\)$"),
    # validation and metrics
    "a share for validation": (lambda: fit(validation=0.2), TypeError, r"validation data \(x, target\), not a float.*pn.data.split\(key, x, target, test=0.2\)"),
    "validation in a list": (lambda: fit(validation=[X, T]), TypeError, r"fit's validation takes .*not arrays: write \(x, target\)"),
    "an iterator for validation": (lambda: fit(validation=iter([(X, T)])), ValueError, "after each of 3 epochs, but the validation data are an iterator"),
    "the name of a metric": (lambda: fit(metrics=["accuracy"], validation=(X, T)), TypeError, "not 'accuracy': write pn.metrics.accuracy"),
    "one name of a metric": (lambda: fit(metrics="accuracy", validation=(X, T)), TypeError, "not 'accuracy': write pn.metrics.accuracy"),
    "a name in a dict": (lambda: pn.evaluate(NET, pn.mse, PARAMS, (X, T), {"a": "auc"}), TypeError, "not 'auc', such as pn.metrics.accuracy"),
    "a loss for a metric": (lambda: fit(metrics=[pn.mae], validation=(X, T)), TypeError, r'mae is a loss: write metrics=\{"mae": mae.apply\}'),
    "a metric without a name": (lambda: fit(metrics=[functools.partial(pn.metrics.f1)], validation=(X, T)), TypeError, r"a partial has no name: write metrics=\{'name': metric\}"),
    "two metrics of one name": (lambda: fit(metrics=[lambda y, t: 0, lambda y, t: 1], validation=(X, T)), ValueError, "two metrics are called '<lambda>': write metrics="),
    "a callback that is none": (lambda: fit(callbacks=[3]), TypeError, r"functions of \(state, record\), not an int"),
    "checkpoints for a callback": (lambda: fit(callbacks=[pn.checkpoints("run")]), TypeError, r"not a Checkpoints: write callbacks=\[run.save\]"),
    "a monitor that is not measured": (lambda: fit(monitor="accuracy"), ValueError, "can monitor loss, not 'accuracy'"),
    # what fit gives, where something else belongs
    "params to resume": (lambda: fit(resume=PARAMS), TypeError, "resume takes a State, as train yields it, or a Fit, not a tuple"),
    "a dict to resume": (lambda: fit(resume={}), TypeError, r"not a dict: load it with like=pn.start\(optimizer, params, key\)"),
    "nothing left to do": (lambda: fit(resume=FOUND), ValueError, r"has 3 epochs, and `epochs` counts them too: write epochs=6 for 3 more"),
    "another history": (
        lambda: fit(resume=FOUND, epochs=4, validation=(X, T)),
        ValueError,
        "a history of loss, and this one would have loss, validation_loss.*resume=run.state",
    ),
    "a Fit to predict": (lambda: pn.predict(NET, FOUND, X), TypeError, "predict takes params, not a Fit: write fit.params"),
    "a State to evaluate": (lambda: pn.evaluate(NET, pn.mse, FOUND.state, (X, T)), TypeError, "not a State: write state.params"),
    "a net to predict": (lambda: pn.predict(NET, NET, X), TypeError, r"not the layer serial.*write net.init\(key\)"),
    "an optimizer to predict": (lambda: pn.predict(NET, pn.adam(), X), TypeError, "not an Optimizer"),
    "a Fit to apply": (lambda: NET.apply(FOUND, X), ValueError, "not a Fit: write fit.params"),
    "a Fit to start": (lambda: fit(params=FOUND), TypeError, "a run takes params, not a Fit: write fit.params"),
    # keeping
    "a net to load like": (lambda: pn.load("p.npz", like=NET), TypeError, r"not the layer serial.*write net.init\(key\)"),
    "an optimizer to load like": (lambda: pn.load("p.npz", like=pn.adam()), TypeError, "not an Optimizer"),
    "a net to save": (lambda: pn.save("p.npz", NET), TypeError, r"not the layer serial.*write net.init\(key\)"),
    "a loss to save": (lambda: pn.save("p.npz", pn.mse), TypeError, "not a mse"),
    "params before the path": (lambda: pn.save(PARAMS, "p.npz"), TypeError, r"a path stands first, as in save\(path, params\).*not a tuple"),
    "like before the path": (lambda: pn.load(PARAMS, "p.npz"), TypeError, r"a path stands first.*load\(path, like\), not a tuple"),
    # losses, paths, outputs
    "a function for a loss of a run": (lambda: pn.fit(NET, lambda y, t: 0.0, pn.adam(), PARAMS, (X, T), key=None, epochs=1), TypeError, r"not a Layer and a function: make one of it, pn.loss\(f, df\)"),
    "a name for a path": (lambda: pn.chain(pn.freeze("a"), pn.sgd()).init({"a": X}), ValueError, r"""no parameter at 'a', but at \['a'\]: write "\['a'\]"$"""),
    "one example to predict": (lambda: pn.predict(NET, PARAMS, X[0]), ValueError, r"gave serial.* 2 examples, the first axis of x, but got a float32 array of shape \(1,\): of one example, write x\[None\]"),
    "lengths in a list": (lambda: fit(data=((X, list(np.arange(8))), T)), TypeError, "not a list: write np.asarray"),
    "an array alone, for an autoencoder": (lambda: fit(data=X), TypeError, r"an autoencoder has \(x, x\)"),
    "params as load gives them without like": (lambda: ONE.apply({"weight": X}, X), ValueError, r"not a dict. Load them with like=net.init\(key\)"),
    # shapes
    "params for a shape": (lambda: pn.summary(NET, PARAMS), TypeError, r"summary takes in_shape, integers.*not a DenseParams.*it makes its own params"),
    "a number for a shape": (lambda: pn.summary(NET, 2), TypeError, r"summary takes in_shape, a tuple.*write in_shape=\(2,\)"),
    "x for a shape": (lambda: pn.summary(NET, X), TypeError, r"not a float32 array of shape \(8, 2\): write x.shape\[1:\]"),
    "a number for the shape of init": (lambda: pn.serial(pn.dense(3)).init(pn.key(0), in_shape=4), TypeError, r"write in_shape=\(4,\)"),
    "a number for the shape of a layer": (lambda: pn.dense(3).init(pn.key(0), 4), TypeError, r"write in_shape=\(4,\)"),
    "x without its axis of features": (lambda: ONE.apply(ONE.init(pn.key(0)), X[:, 0]), ValueError, r"but x has shape \(8,\): write x\[:, None\]"),
    "images without flatten": (lambda: WIDE.apply(WIDE.init(pn.key(0)), np.ones((5, 2, 8), np.float32)), ValueError, "put `flatten` before it"),
    "examples in columns": (lambda: WIDE.apply(WIDE.init(pn.key(0)), np.ones((16, 5), np.float32)), ValueError, r"examples are rows, so write x\.T"),
    "images without channels": (lambda: CONV.apply(CONV.init(pn.key(0)), np.ones((2, 8, 8), np.float32)), ValueError, r"write x\[\.\.\., None\] for one channel"),
    "channels first": (lambda: CONV.apply(CONV.init(pn.key(0)), np.ones((2, 3, 8, 8), np.float32)), ValueError, r"\(batch, height, width, 3\).*write np.moveaxis\(x, 1, -1\)"),
    "other channels": (lambda: CONV.apply(CONV.init(pn.key(0)), np.ones((2, 8, 8, 1), np.float32)), ValueError, r"takes x of shape \(batch, height, width, 3\), .*\(2, 8, 8, 1\)$"),
    "a step without a state, frozen": (lambda: pn.chain(pn.freeze("[0]"), pn.adam()).step(PARAMS, GRADS), ValueError, "given no state"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_the_message_says_what_to_do(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


@pytest.mark.parametrize(
    "transform", [pn.weight_decay(0.1), pn.gradient_noise(pn.key(0)), pn.accumulate(2), pn.lookahead(), pn.polyak()]
)
def test_each_transform_with_a_state_asks_for_its_own(transform):
    with pytest.raises(ValueError, match=r"State, but was given no state: make it by init"):
        pn.chain(transform, pn.sgd()).step(PARAMS, GRADS)


def test_the_name_of_a_function_for_a_rate():
    assert repr(pn.sgd(lambda t: 0.1)) == "sgd(lr=<lambda>)"
    assert repr(pn.chain(pn.weight_decay(s.constant(0.1)), pn.sgd())) == "chain(weight_decay(constant(0.1)), sgd())"


@pytest.mark.parametrize(
    "make", [s.step, s.exponential, s.polynomial, s.cosine, s.cosine_restarts, s.warmup, s.one_cycle]
)
def test_no_schedule_begins_with_a_negative_rate(make):
    with pytest.raises(ValueError, match=r"is a finite number from 0 up, not -0.1"):
        make(-0.1, 10)


def test_two_inputs_in_a_tuple_are_two_inputs():
    net = pn.lstm(2, 3, last=True)
    sequences, lengths, target = (
        pn.random.normal(pn.key(1), (8, 5, 2)),
        np.arange(1, 9) % 5 + 1,
        np.ones((8, 3), np.float32),
    )
    flat, nested = (
        pn.fit(
            net, pn.mse, pn.adam(), net.init(pn.key(0)), data, key=pn.key(1), epochs=2, batch_size=3, validation=data
        )
        for data in ((sequences, lengths, target), ((sequences, lengths), target))
    )
    assert bits(flat.state) == bits(nested.state)
    assert bits(flat.history) == bits(nested.history)
    for key in (None, pn.key(2)):
        assert len(list(pn.data.batches(key, (sequences, lengths), target, size=5, drop_last=True))) == 1
        one, two = pn.data.batches(key, (sequences, lengths), target, size=4)
        first, second = pn.data.batches(key, sequences, lengths, target, size=4)
        assert bits([*one[0], one[1], *two[0], two[1]]) == bits([*first, *second])


def test_what_load_has_instead(tmp_path):
    pn.save(tmp_path / "p.npz", PARAMS)
    with pytest.raises(
        ValueError, match=r"lacks \['w'\], which like has; it has \[0\].bias, \[0\].weight, \[2\].bias, …$"
    ):
        pn.load(tmp_path / "p.npz", like={"w": X})


# --- a run that is resumed


def data_of(seed, n=64):
    x = pn.random.normal(pn.key(seed), (n, 2))
    return x, x[:, :1] * x[:, 1:]


@pytest.mark.parametrize("patience", [None, 2])
@pytest.mark.parametrize("at", [1, 3, 5, 7])  # after the 7th there was one without progress
def test_a_fit_that_is_resumed_ends_as_if_it_had_not_stopped(at, patience):
    scores = [5.0, 4.0, 4.5, 3.0, 3.5, 2.0, 2.5, 2.6, 1.0]

    def batches(key):
        return pn.data.batches(key, *data_of(1), size=32)

    def run(epochs, resume=None, seen=0):
        supply = iter(scores[seen:])
        return pn.fit(NET, pn.mse, pn.adam(0.01), PARAMS, batches, key=pn.key(2), epochs=epochs, patience=patience,
                      validation=data_of(2), metrics={"score": lambda y, t: next(supply)}, monitor="validation_score",
                      best="lowest", resume=resume)  # fmt: skip

    whole, part = run(9), run(at)
    rest = run(9, resume=part, seen=at)
    assert bits(rest.state) == bits(whole.state)
    assert bits(rest.params) == bits(whole.params)
    assert bits(rest.history) == bits(whole.history)
    assert (rest.stopped, rest.best.epoch, rest.best.value) == (whole.stopped, whole.best.epoch, whole.best.value)
    assert (whole.stopped, whole.best.epoch, len(whole.history["loss"])) == (
        ("epochs", 9, 9) if patience is None else ("patience", 6, 8)
    )
    assert bits(whole.params) == bits(whole.state.params if patience is None else whole.best.params)


def test_a_resumed_fit_that_monitors_another_number_looks_for_its_best_anew():
    nothing = np.zeros((8, 2), np.float32)
    options = {"key": pn.key(2), "validation": (nothing, NET.apply(PARAMS, nothing))}  # of a loss near 0
    first = pn.fit(NET, pn.mse, pn.adam(0.01), PARAMS, data_of(1), epochs=2, **options)
    rest = pn.fit(NET, pn.mse, pn.adam(0.01), PARAMS, data_of(1), epochs=4, monitor="loss", resume=first, **options)
    assert (first.best.monitor, rest.best.monitor) == ("validation_loss", "loss")
    assert rest.best.epoch == 3 + rest.history["loss"][2:].argmin()
    assert len(rest.history["loss"]) == 4


def test_the_higher_the_better_when_resumed():
    rising = {"score": lambda y, t: 1.0}
    options = {"key": pn.key(2), "validation": data_of(2), "monitor": "validation_score", "best": "highest"}
    first = pn.fit(NET, pn.mse, pn.adam(), PARAMS, data_of(1), epochs=1, metrics=rising, **options)
    lower = {"score": lambda y, t: 0.5}
    rest = pn.fit(
        NET, pn.mse, pn.adam(), PARAMS, data_of(1), epochs=9, metrics=lower, patience=2, resume=first, **options
    )
    assert (rest.stopped, rest.state.epoch, rest.best.epoch) == ("patience", 3, 1)
    assert bits(rest.params) == bits(first.params)


def test_train_resumes_what_fit_gave():
    states = [
        next(pn.train(NET, pn.mse, pn.adam(), PARAMS, [(X, T)], key=None, resume=r)) for r in (FOUND, FOUND.state)
    ]
    assert bits(states[0]) == bits(states[1])
    assert states[0].step == 4


def test_penalties_in_a_run():
    first = next(pn.train(NET, pn.mse, pn.sgd(0.1), PARAMS, [(X, T)], key=None, penalties=[pn.l2(0.1)]))
    E, grads = pn.value_and_grad(NET, pn.mse, pn.l2(0.1))(PARAMS, X, T)
    assert first.loss == float(E)
    assert bits(first.params) == bits(pn.sgd_step(PARAMS, grads, 0.1))
    found = fit(penalties=pn.l2(0.1))
    assert found.history["loss"][0] > FOUND.history["loss"][0]


# --- at the prompt


def test_runs_are_short_at_the_prompt():
    state = FOUND.state._replace(loss=0.123456)
    assert repr(state) == "State(step=3, epoch=3, batch=0, loss=0.1235, params=<13 numbers in 4 arrays>)"
    found = FOUND._replace(history={"loss": np.array([0.5, 0.25])}, best=FOUND.best._replace(value=0.25))
    assert repr(found) == (
        "Fit(epochs=3, stopped='epochs', loss=0.25, best=Best(epoch=3, loss=0.25), params=<13 numbers in 4 arrays>)"
    )
    assert state == tuple(state)
    params, *_ = FOUND
    assert params is FOUND.params
    assert repr(FOUND._replace(history={}, best=None)).startswith("Fit(epochs=3, stopped='epochs', params=")


# --- what surprised the second time


def test_ids_with_their_lengths_through_an_embedding():
    net = pn.serial(pn.parallel(pn.embedding(5, 4), pn.identity), pn.lstm(4, 3, last=True))
    params = net.init(pn.key(0))
    ids, lengths = np.arange(12).reshape(2, 6) % 5, np.array([3, 6])
    pn.testing.check_vjp(net, params, (ids, lengths))
    by_hand = pn.lstm(4, 3, last=True).apply(params[1], (params[0][0].weight[ids], lengths))
    assert bits(net.apply(params, (ids, lengths))) == bits(by_hand)
    assert pn.identity.vjp((), lengths)[1](lengths) == ((), None)
    with pytest.raises(TypeError, match="identity takes an array, not a list"):
        pn.identity.apply((), [1])
    with pytest.raises(TypeError, match="identity computes in floating point, not on a bool"):
        pn.identity.apply((), lengths > 3)


def test_a_loss_that_gives_a_python_number_can_be_checked():
    def squares(factor):
        def vjp(y, target):
            return float(np.sum((y - target) ** 2)), lambda dE=1.0: factor * dE * (y - target)

        return pn.Loss(lambda y, target: vjp(y, target)[0], vjp, "squares")

    pn.testing.check_vjp(squares(2), T + 0.5, T)
    with pytest.raises(AssertionError, match="squares: dy is not the derivative"):
        pn.testing.check_vjp(squares(3), T + 0.5, T)


@pytest.mark.filterwarnings("ignore:.*encountered in")
def test_a_rate_that_is_too_large_is_suspected():
    with pytest.raises(
        ValueError, match=r"mse is inf: every layer's output is finite, the net's up to \S+e\+\d+ in size: is the l"
    ):
        pn.fit(NET, pn.mse, pn.sgd(1e9), PARAMS, data_of(1), key=None, epochs=50)


TRANSFORMS = [
    pn.accumulate, pn.clip_by_global_norm, pn.clip_by_norm, pn.clip_by_value, pn.ema, pn.freeze, pn.gradient_noise,
    pn.joined, pn.lookahead, pn.polyak, pn.weight_decay,
]  # fmt: skip


@pytest.mark.parametrize("make", TRANSFORMS)
def test_each_transform_says_where_the_optimizer_stands(make):
    own = "" if make in (pn.joined, pn.polyak) else "..."
    mend = re.escape(f"write chain({make.__name__}({own}), sgd(lr=0.1))")
    for wrong in (lambda: make(pn.sgd(0.1)), lambda: make(optimizer=pn.sgd(0.1))):
        with pytest.raises(TypeError, match=rf"^{make.__name__} takes no optimizer, but .*: {mend}$"):
            wrong()


@pytest.mark.parametrize(("labels", "mend"), [([0, 1, 2], "np.asarray(...)"), ([0.5, 1.0, 2.0], "dtype=np.float32")])
def test_a_list_of_labels_is_not_told_to_become_floats(labels, mend):
    net, x = pn.dense(2, 3), np.ones((3, 2), np.float32)
    params = net.init(pn.key(0))
    with pytest.raises(TypeError, match=re.escape(mend)):
        pn.fit(net, pn.softmax_cross_entropy, pn.adam(), params, (x, labels), key=pn.key(0), epochs=1)


def test_params_that_are_an_array_and_data_that_are_a_named_tuple_are_not_taken_for_swapped():
    net = pn.layer(
        pn.Spec("scale", x="... n", y="... n", params="n", init=pn.initializers.ones),
        lambda ops, a, x, key: (a * x, lambda dy, wrt_x: (ops.sum_rows(dy * x), a * dy)),
    )
    params, data = np.ones(64, np.float32), pn.data.digits()[1]
    both = data._replace(target=data.x)
    assert pn.evaluate(net, pn.mse, params, both)["loss"] == 0
    assert pn.predict(net, params, data.x).shape == data.x.shape
    assert pn.evaluate(pn.parallel(net, net), pn.per_output(pn.mse, pn.mse), (params, params),
                       ((data.x, data.x), (data.x, data.x)))["loss"] == 0  # fmt: skip


ANY_AXES, TWO_AXES, ONE_AXIS = of_images(None), of_images(2), of_images(1)


@pytest.mark.parametrize(
    ("hint", "shape", "sizes", "words"),
    [
        (one_feature, (4,), {"inputs": 1}, "write x[:, None]"),
        (one_feature, (4,), {"inputs": 4}, ""),
        (one_feature, (4, 3), {"inputs": 1}, ""),
        (flatten_first, (5, 2, 8), {"inputs": 16}, "put `flatten` before it"),
        (flatten_first, (5, 2, 8), {"inputs": 3}, ""),
        (examples_are_rows, (3, 5), {"inputs": 3}, "examples are rows, so write x.T"),
        (examples_are_rows, (5, 4), {"inputs": 3}, ""),
        (examples_are_rows, (3, 5, 7), {"inputs": 3}, ""),
        (TWO_AXES, (2, 3, 8, 8), {"channels": 3}, "channels are the last axis, so write np.moveaxis(x, 1, -1)"),
        (ANY_AXES, (2, 3, 8), {"channels": 3}, "channels are the last axis, so write np.moveaxis(x, 1, -1)"),
        (TWO_AXES, (2, 8, 8, 4), {"channels": 3}, ""),
        (TWO_AXES, (2, 3, 8, 8, 8), {"channels": 3}, ""),
        (TWO_AXES, (8, 3), {"channels": 3}, ""),
        (TWO_AXES, (8, 8, 3), {"channels": 3}, "write x[None] for one example"),
        (ONE_AXIS, (8, 3), {"channels": 3}, "write x[None] for one example"),
        (TWO_AXES, (5, 8, 8), {"channels": 1}, "write x[..., None] for one channel"),
        (TWO_AXES, (3, 8, 8), {"channels": 3}, "so write np.moveaxis(x, 0, -1)[None]"),
        (TWO_AXES, (5, 8, 8), {"channels": 3}, "write x[..., None] for one channel, x[None] for one example"),
    ],
)
def test_what_to_do_about_a_shape(hint, shape, sizes, words):
    given = hint(shape, sizes)
    assert given.endswith(words)
    assert bool(given) is bool(words)


def test_a_hint_is_about_x_and_not_about_what_stands_beside_it():
    options = {"y": "batch cells", "hints": (lambda shape, sizes: "write x.T",)}
    labelled = pn.layer(pn.Spec("labelled", x="image = batch cells", **options), lambda *_: None)
    with pytest.raises(ValueError, match=r"image has shape \(2, 3, 4\): write x.T$"):
        labelled.apply((), np.ones((2, 3, 4)))
    beside = pn.layer(pn.Spec("beside", x=("batch cells", "rest = batch"), **options), lambda *_: None)
    with pytest.raises(ValueError, match=r"rest has shape \(2, 1\)$"):
        beside.apply((), (np.ones((2, 3)), np.ones((2, 1))))


def test_what_is_as_near_to_one_form_as_to_another_is_told_all_of_them():
    layer, x = pn.multi_head_attention(4, 2), np.ones((2, 3, 4), np.float32)
    for mask in (np.ones((2, 3, 3), bool), np.ones((2, 1, 1, 3, 3), bool)):
        with pytest.raises(ValueError, match=r"takes x as one of: x .*It was given .* bool array of shape"):
            layer.apply(layer.init(pn.key(0)), (x, mask))


WRONG = {"float": ["a", [1.0], True, math.nan], "float | None": ["a"], "bool": ["a", 2, None]}
NEEDED = {"features": 4, "changes": {1: 0.1}, "schedule": s.constant(0.1)}  # of the makers below, and 2 for any other
SEVERAL = {"stacked": (pn.lstm(2, 2), pn.lstm(2, 2))}


def options_of_makers():
    """(name, maker, option) of what makes a layer, a loss, an optimizer or a schedule, by the kind of the option."""
    for place in (pn, s):
        for name, maker in vars(place).items():
            made_by = isinstance(maker, pn.Layer | pn.Loss) or hasattr(maker, "__wrapped__")
            if made_by and name not in ("layer", "value_and_grad"):
                parameters = inspect.signature(maker).parameters.values()
                yield from ((name, maker, each) for each in parameters if each.annotation in WRONG)


@pytest.mark.parametrize(
    ("name", "maker", "option"), [pytest.param(*each, id=f"{each[0]} {each[2].name}") for each in options_of_makers()]
)
def test_an_option_of_another_kind_is_told_by_maker_and_option(name, maker, option):
    parameters = inspect.signature(maker).parameters.values()
    args = SEVERAL.get(name, (2, 3)) if any(p.kind is p.VAR_POSITIONAL for p in parameters) else ()
    named = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    given = {each: NEEDED.get(each, 2) for each in named}
    for wrong in WRONG[option.annotation]:
        with pytest.raises((TypeError, ValueError), match=rf"(?s){name}.*{option.name}") as error:
            maker(*args, **{**given, option.name: wrong})
        assert str(wrong) in str(error.value)
