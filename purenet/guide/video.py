"""The video, minute by minute.

Omar Aflak's
[Neural Network from Scratch](https://youtube.com/playlist?list=PLQ4osgQ7WN6PGnvt6tzLAVAEMsL3LBqpm)
builds a net out of one class for each layer. This page walks through it in the video's order. Each part has the video's
equations, the same for a batch, and the line of purenet that does it. The titles have the times of the video's own
list of chapters. Its author's two corrections are worked in, at 17:46 and at 18:58.

The video's X and Y are columns, one example each, and its W has a row for each output: Y = W · X + B. Here a batch has
an example in each row, and W has a row for each input, as in Keras and JAX: Y = X · W + B. So each W here is the
transpose of the video's.

>>> import numpy as np
>>> import purenet as pn

## 01:09 The plan, 01:56 ML reminder

Four steps, again and again: feed the input through all layers, compute the error E, go back through all layers with the
derivatives of E, and move each parameter against its derivative:

    w ← w − α · ∂E/∂w

Here the first three are one call, and the fourth is another. The params go in, new params come out:

>>> net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh)
>>> params = net.init(pn.key(0))
>>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
>>> target = np.array([[0], [1], [1], [0]], np.float32)
>>> E, grads = pn.value_and_grad(net, pn.mse)(params, x, target)
>>> params = pn.sgd_step(params, grads, lr=0.1)

## 02:51 Implementation design, 06:40 Base layer

In the video a layer is a class: `forward(input)` gives the output and remembers the input, and
`backward(output_gradient, learning_rate)` is handed ∂E/∂Y, changes the layer's own parameters, and gives ∂E/∂X for the
layer before. ∂E/∂X of a layer is ∂E/∂Y of the one before it: that is all of backpropagation.

Here a layer is a pair of functions and a rule, and remembers nothing:

| in the video | here |
| --- | --- |
| `Dense(2, 3)` makes weights at once | `layer = pn.dense(2, 3)`, `params = layer.init(key)` |
| `y = layer.forward(x)` | `y = layer.apply(params, x)` |
| `dx = layer.backward(dy, lr)` | `y, pullback = layer.vjp(params, x)`, `dparams, dx = pullback(dy)` |
| the weights change in `backward` | `params = pn.sgd_step(params, dparams, lr)` |

## 07:55 Dense layer, forward

The video, for one example with inputs x₁ … xᵢ and outputs y₁ … yⱼ:

    yⱼ = Σᵢ wⱼᵢ · xᵢ + bⱼ                 Y = W · X + B

A batch of examples n = 1, 2, …, with W transposed:

    yₙⱼ = Σᵢ xₙᵢ · wᵢⱼ + bⱼ               Y = X · W + B

>>> layer = pn.dense(2, 3)
>>> own = layer.init(pn.key(1))
>>> y, pullback = layer.vjp(own, x)
>>> np.allclose(y, x @ own.weight + own.bias)
True

## 10:42 Dense layer, backward

The layer is handed ∂E/∂yⱼ for each of its outputs. The chain rule goes over every output that a number has a part in.

### 11:23 The gradient of the weights

wᵢⱼ has a part in yⱼ alone, where it stands beside xᵢ. In a batch it does so for every example, so the
examples are summed:

    one example    ∂E/∂wᵢⱼ = ∂E/∂yⱼ · xᵢ              the video's ∂E/∂W = ∂E/∂Y · Xᵀ
    a batch        ∂E/∂wᵢⱼ = Σₙ xₙᵢ · ∂E/∂yₙⱼ         ∂E/∂W = Xᵀ · ∂E/∂Y

### 14:59 The gradient of the bias

bⱼ has a part in yⱼ alone, and the factor is 1:

    one example    ∂E/∂bⱼ = ∂E/∂yⱼ                    the video's ∂E/∂B = ∂E/∂Y
    a batch        ∂E/∂bⱼ = Σₙ ∂E/∂yₙⱼ                ∂E/∂B = the sum of the rows of ∂E/∂Y

The sum over examples is no choice of this library: in a batch E depends on each weight through every example. That the
error of a batch is a mean, and so its derivative too, comes in with ∂E/∂Y, from the loss.

### 16:28 The gradient of the input

xᵢ has a part in every yⱼ, so the sum goes over the outputs:

    one example    ∂E/∂xᵢ = Σⱼ ∂E/∂yⱼ · wⱼᵢ           the video's ∂E/∂X = Wᵀ · ∂E/∂Y
    a batch        ∂E/∂xₙᵢ = Σⱼ ∂E/∂yₙⱼ · wᵢⱼ         ∂E/∂X = ∂E/∂Y · Wᵀ

17:46, a correction: mind the indices of the transpose. The video's W has j rows and i columns. Row i of its Wᵀ is
column i of W:

         w₁₁  w₁₂ … w₁ᵢ               w₁₁  w₂₁ … wⱼ₁
    W =   ⋮    ⋮      ⋮          Wᵀ =   ⋮    ⋮      ⋮
         wⱼ₁  wⱼ₂ … wⱼᵢ               w₁ᵢ  w₂ᵢ … wⱼᵢ

All three come from one call:

>>> dy = np.array([[1, 0, 2], [0, 1, 0], [1, 1, 1], [2, 0, 1]], np.float32)
>>> dparams, dx = pullback(dy)
>>> np.allclose(dparams.weight, x.T @ dy), np.allclose(dparams.bias, dy.sum(axis=0)), np.allclose(dx, dy @ own.weight.T)
(True, True, True)

That these are the derivatives, and not merely what was written down, is checked by differences of E itself:

>>> pn.testing.check_vjp(layer, own, x)

## 18:22 Dense layer, the code

The whole rule of `pn.dense` is the three equations above. So it can be written as a layer of one's own, with no check
and no shape by hand (`python -m purenet.examples.own_layer` has another one, from the first line to its training):

>>> def rule(ops, params, x, key):
...     weight, bias = params
...     def pull(dy, wrt_x):
...         return (x.T @ dy, dy.sum(axis=0)), dy @ weight.T if wrt_x else None
...     return x @ weight + bias, pull
>>> init = pn.initializers.glorot_uniform, pn.initializers.zeros
>>> spec = pn.Spec("dense of the video", x="batch 2", y="batch 3", params=("2 3", "3"), init=init)
>>> same = pn.layer(spec, rule)
>>> np.allclose(same.apply((own.weight, own.bias), x), y)
True
>>> pn.testing.check_vjp(same, same.init(pn.key(0)), x)

### 18:58 The order of two lines

A correction. The video's `backward` first moves the weights and then computes ∂E/∂X from them. Its author's pinned
correction says to compute ∂E/∂X first. In the wrong order what comes out is

    ∂E/∂Y · (W − α · ∂E/∂W)ᵀ = ∂E/∂X − α · ∂E/∂Y · (∂E/∂W)ᵀ

which is wrong by the last term, and more so with a larger learning rate α:

>>> late = pn.sgd_step(own, dparams, lr=0.1)
>>> np.allclose(dy @ late.weight.T, dx - 0.1 * dy @ dparams.weight.T)
True

Here the order cannot be wrong. `pullback` computes and changes nothing, and `sgd_step` gives new params while those
that `pullback` holds stay as they were. What the late update does to training, in numbers and on a picture:
`python -m purenet.examples.late_update`; in the playground, `python -m purenet.playground`, it is a switch.

## 19:43 Activation layer, forward; 20:46 its gradient

Each output is made of the input at its own place, yᵢ = f(xᵢ), so the chain rule has one term, and nothing is learnt:

    ∂E/∂xᵢ = ∂E/∂yᵢ · f′(xᵢ)              ∂E/∂X = ∂E/∂Y ⊙ f′(X)

⊙ multiplies number by number. For a batch the equation is the same. The video's class takes f and f′, and so does
`pn.activation`:

>>> def f(x):
...     return np.tanh(x)
>>> def df(x):
...     return 1 - np.tanh(x) ** 2
>>> own_tanh = pn.activation(f, df)
>>> out, pull = own_tanh.vjp((), y)
>>> _, dy_before = pull(dy)
>>> np.allclose(dy_before, dy * df(y))
True

## 22:30 Hyperbolic tangent

    f(x) = tanh x                         f′(x) = 1 − tanh² x = 1 − y²

`pn.tanh` is that layer. Its rule takes y, which is there already:

>>> out_too, pull_too = pn.tanh.vjp((), y)
>>> np.allclose(pull_too(dy)[1], dy * (1 - out_too**2))
True

## 23:24 Mean squared error

Y* is what the output should be. The video, for the n outputs of one example:

    E = 1/n · Σᵢ (y*ᵢ − yᵢ)²              ∂E/∂Y = 2/n · (Y − Y*)

A batch has more numbers, and n counts them all. So its E is the mean of the examples' errors:

>>> y = net.apply(params, x)
>>> E, pull = pn.mse.vjp(y, target)
>>> np.allclose(E, np.mean((target - y) ** 2)), np.allclose(pull(), 2 / y.size * (y - target))
(True, True)

In the video the mean over the outputs of one example makes its gradient smaller the more outputs there are: with ten,
the same learning rate moves a tenth as far as with a sum. `python -m purenet.examples.batch_sizes` shows it.

## 26:05 XOR

Two inputs, one output: 1 where exactly one of the inputs is 1.

### 27:04 Linear separability

No line parts the two classes. A net of one dense layer is such a line, and the best it finds is 0.5 everywhere:

>>> line = pn.serial(pn.dense(2, 1))
>>> flat = line.init(pn.key(0))
>>> for _ in range(500):
...     E, grads = pn.value_and_grad(line, pn.mse)(flat, x, target)
...     flat = pn.sgd_step(flat, grads, lr=0.5)
>>> line.apply(flat, x).round(2).ravel().tolist()
[0.5, 0.5, 0.5, 0.5]

A hidden layer bends the plane first, which is why the net of this page has one.

### 27:45 The code

The video trains on one example at a time, 10,000 epochs, at a rate of 0.1. Its loop, written out:

>>> value_and_grad = pn.value_and_grad(net, pn.mse)
>>> params = net.init(pn.key(1))
>>> for epoch in range(10_000):
...     for i in range(4):
...         E, grads = value_and_grad(params, x[i : i + 1], target[i : i + 1])
...         params = pn.sgd_step(params, grads, lr=0.1)
>>> np.abs(net.apply(params, x) - target).max() < 0.05
np.True_

In one call, with Adam and batches of two, in another order in each epoch:

>>> run = {"key": pn.key(2), "epochs": 500, "batch_size": 2}
>>> found = pn.fit(net, pn.mse, pn.adam(0.05), net.init(pn.key(1)), (x, target), **run)
>>> bool(found.history["loss"][-1] < 0.01)
True

What it says of new inputs is `net.apply(params, x)`: nothing must be switched off first.

## 30:32 XOR, the decision boundary

The video asks the net about every point of a grid, and draws the answers. One call draws the error and the boundary:

    figure = pn.plotting.overview(errors, lambda points: net.apply(params, points), x, target)

![the error of each epoch, and what the net answers at each point of the square](../../pictures/xor.png)

`python -m purenet.examples.xor` makes this picture, and with `--gif xor.gif` the boundary as it is learnt. Why the
error of single examples has spikes and that of batches has none: `python -m purenet.examples.batch_sizes`.

![the error with one example a step, with some, and with all](../../pictures/batch_sizes.png)
"""
