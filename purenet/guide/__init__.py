"""Guides.

- [The video, minute by minute](guide/video.html): its equations, the same for a batch, and the line that does it
- [From Keras](guide/from_keras.html): a model, its training, and every name
- [From PyTorch](guide/from_pytorch.html): modules and loops, state dicts, and every name
- [From JAX](guide/from_jax.html): Flax and Optax, what may stand in `jit`, and every name

A name of another library is an error that says what to write here:

>>> import purenet as pn
>>> pn.Conv2d
Traceback (most recent call last):
AttributeError: module 'purenet' has no attribute 'Conv2d': write pn.conv

So is a method:

>>> pn.tanh.forward
Traceback (most recent call last):
AttributeError: Layer has no attribute 'forward': write net.apply(params, x)

So is an option:

>>> pn.adam(learning_rate=0.1)
Traceback (most recent call last):
TypeError: adam has no option learning_rate: write lr=...

## Options

"""

from purenet.values import INSTEAD, OPTIONS_ELSEWHERE


def _options() -> str:
    """The options of other libraries, in Markdown: a table of their names here, and a list of what does their work."""
    named = [f"| `{there}` | `{here.replace('|', '`, `')}` |" for there, here in OPTIONS_ELSEWHERE.items()]
    instead = [f"- `{there.replace(' ', '`, `')}`: {here}" for there, here in INSTEAD.items()]
    return "\n".join(["| there | here |", "| --- | --- |", *named, "", "No options here:", "", *instead, ""])


__doc__ = (__doc__ or "") + _options()
