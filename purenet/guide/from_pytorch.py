"""From PyTorch.

There, a net holds its parameters and is changed by training:

```python
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
target = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
for _ in range(300):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(x), target)
    loss.backward()
    optimizer.step()
```

Here you hold the parameters, and the state of the optimizer. No gradient waits anywhere, so nothing is set to zero:

>>> import numpy as np
>>> import purenet as pn
>>> net = pn.serial(pn.dense(2, 8), pn.tanh, pn.dense(8, 1))
>>> optimizer = pn.adam(lr=0.05)
>>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
>>> target = np.array([[0], [1], [1], [0]], np.float32)
>>> params = net.init(pn.key(0))
>>> state = optimizer.init(params)
>>> value_and_grad = pn.value_and_grad(net, pn.mse)
>>> for _ in range(300):
...     E, grads = value_and_grad(params, x, target)
...     params, state = optimizer.step(params, grads, state)
>>> bool(E < 0.01)
True

## What is different

- `net(x)` is `net.apply(params, x)`. `loss.backward()` is `net.vjp`, for one layer as for a net: it gives Y, and a
  function that takes dE/dY to the gradients.
- There is no `net.train()` and no `net.eval()`. With a key a layer is in training, so dropout drops; without one it
  is not.
- Images and sequences have their channels last: (batch, height, width, channels) and (batch, time, features).
- The weight of a dense layer is (in, out), so Y = X · W + B; in PyTorch it is (out, in).
- Sizes may be left out, as in the lazy modules: `pn.dense(10)` takes its inputs from `net.init(key, in_shape)`.
- Running statistics, as of batch norm, are part of the params, each a `pn.Buffer`. An optimizer's step moves them.
- A loss takes (y, target) as there. Labels are integers, as for `torch.nn.CrossEntropyLoss`.
- `pn.fit` is the loop in one call, with validation, metrics, patience and callbacks.

## Weights that you have

>>> net = pn.serial(pn.dense(2, 8), pn.tanh, pn.dense(8, 1))
>>> state_dict = pn.to_torch_state_dict(params, net)
>>> {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
{'0.weight': (8, 2), '0.bias': (8,), '2.weight': (1, 8), '2.bias': (1,)}
>>> again = pn.from_torch_state_dict(state_dict, like=params)
>>> pn.tree.allclose(again, params, rtol=0, atol=0)
True

`help("purenet.interop")` lists the modules. Everything also runs on PyTorch's tensors: `pn.to_engine(params, "torch")`
makes them of params.

"""

from purenet.names.elsewhere import tables

__doc__ = (__doc__ or "") + tables("PyTorch")
