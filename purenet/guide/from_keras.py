"""From Keras.

There, a model is compiled and then fitted:

```python
import keras
from keras import layers

keras.utils.set_random_seed(0)
model = keras.Sequential([layers.Input((2,)), layers.Dense(16, activation="relu"), layers.Dense(2)])
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=0.02),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
x = keras.random.normal((400, 2), seed=1)
target = keras.ops.cast(x[:, 0] * x[:, 1] > 0, "int32")
history = model.fit(x, target, epochs=30, batch_size=32, validation_split=0.25, verbose=0)
```

Here there is nothing to compile, and `pn.fit` gives what it found; the net stays what it is:

>>> import numpy as np
>>> import purenet as pn
>>> net = pn.serial(pn.dense(2, 16), pn.relu, pn.dense(2))
>>> params = net.init(pn.key(0), in_shape=(2,))
>>> x = pn.random.normal(pn.key(1), (400, 2))
>>> target = (x[:, 0] * x[:, 1] > 0).astype(int)
>>> data, validation = pn.data.split(pn.key(2), x, target, test=0.25)
>>> run = {"key": pn.key(3), "epochs": 30, "validation": validation, "metrics": [pn.metrics.accuracy]}
>>> found = pn.fit(net, pn.softmax_cross_entropy, pn.adam(lr=0.02), params, data, **run)
>>> bool(found.history["validation_accuracy"][-1] > 0.9)
True
>>> pn.predict(net, found.params, x).argmax(axis=1).shape
(400,)

## What is different

- The params stand beside the net. `model.predict(x)` is `pn.predict(net, params, x)`, or `net.apply(params, x)`.
- An activation is a layer of its own: `pn.dense(2, 16), pn.relu` for `keras.layers.Dense(16, activation="relu")`.
- Losses of classes take logits, so the net ends without a softmax.
- There is no `training=True`. With a key a layer is in training, so dropout drops; without one it is not.
- Names of losses, metrics and optimizers are values, and no texts: `pn.mse`, not `"mse"`.
- A validation set is data that you split off, so that you see which part it is.
- Callbacks are functions of the state and the record of an epoch. Patience is an option of `pn.fit`.
- The momentum of `pn.batch_norm` is 1 − Keras's: `pn.batch_norm(momentum=0.01)` for Keras's 0.99. It is the share of
  the new batch.
- A layer that stands in a net twice is two layers, each with params of its own. `pn.tied` gives them the same ones.
- Schedules count steps, one for each batch, and no epochs.
- Lengths or a mask go in beside x and are used by the first layer. `pn.keep_rest` hands them on to the next one, and
  `num_layers` does so inside of `pn.lstm`.
- `pn.bidirectional` takes both layers, the second with `reverse=True`.
- Layouts are those of Keras: channels last, the weight of a dense layer (in, out), recurrent layers over
  (batch, time, features).
- A model with branches is `pn.parallel`, `pn.fan_out` and `pn.residual`. What they cannot say is a few lines with
  `net.vjp`, see `help("purenet.training.gradient")`.

"""

from purenet.names.elsewhere import tables

__doc__ = (__doc__ or "") + tables("Keras")
