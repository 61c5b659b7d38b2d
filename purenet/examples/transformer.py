"""A language model: a causal transformer reads a text character by character, says what comes next, and so writes.

python -m purenet.examples.transformer        --engine jax: compiled (pip install 'purenet[jax]')

It learns from windows of 128 characters, at all places of a window at once: no place sees what comes after it. When it
writes, the keys and values of what it has read are kept as the state, and each new character goes through the blocks
alone. Places are told by turning queries and keys (`rotary`).

The text is the one that the LSTM of `purenet.examples.char_rnn` reads, and the number of parameters is about the same.

A. Radford et al., "Improving language understanding by generative pre-training", 2018; J. Su et al., "RoFormer", 2021.
"""

import math
from functools import partial
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command, text

TIME = 128


def model(characters: int, features: int, blocks: int) -> Any:
    """Of ids, or of (ids, state), the scores of the next character at each place (and the state to go on with)."""
    block = pn.transformer_block(features, 2, causal=True, rotary=100.0)  # a small base, for windows are short
    return pn.serial(
        pn.on_first(pn.embedding(characters, features)),
        pn.stacked(*[block] * blocks),
        pn.on_first(pn.layer_norm(features)),
        pn.on_first(pn.dense(features, characters)),
    )


def windows(key: Any, ids: Any, size: int) -> Any:
    """Batches of windows and of what comes next at each place, cut anew for each epoch, from another start."""
    start_key, order_key = pn.split(key)
    start = int(pn.random.randint(start_key, (), 0, TIME))
    n = (len(ids) - 1 - start) // TIME
    x, target = (ids[first:][: n * TIME].reshape(n, TIME) for first in (start, start + 1))
    return pn.data.batches(order_key, x, target, size=size, drop_last=True)


def surprise(net: Any, params: Any, ids: Any) -> Any:
    """−log P of each character, but for the first and a few at the end. It is told from at least half a window before
    it, if so much is there."""
    half = TIME // 2
    starts = np.arange(0, len(ids) - TIME, half)
    seen = ids[starts[:, None] + np.arange(TIME + 1)]
    logs = pn.log_softmax.apply((), pn.predict(net, params, seen[:, :-1], batch_size=64))
    nats = -np.take_along_axis(logs, seen[:, 1:, None], axis=2)[..., 0]
    return np.concatenate([nats[0, :half], nats[:, half:].ravel()])


def main() -> None:
    parser = command.parser(__doc__, "transformer.png")
    parser.add_argument("--epochs", type=int, default=6, help="how many to train")
    parser.add_argument("--temperature", type=float, default=0.7, help="below 1, likely characters are likelier still")
    parser.add_argument("--engine", default="numpy", choices=["numpy", "jax", "torch"], help="what trains")
    options = parser.parse_args()
    content = text.read(60_000 if options.quick else None)
    epochs, features, blocks = (3, 32, 2) if options.quick else (options.epochs, 68, 3)
    counted = text.count_perplexity(content)
    print(f"counts after 3 characters: perplexity {counted:.2f}")

    net = model(len(content.alphabet), features, blocks)
    params_key, train_key, write_key = pn.split(pn.key(options.seed), 3)
    params, size = net.init(params_key), 8
    steps = epochs * (len(content.train) // TIME // size)
    rate = pn.schedules.warmup(pn.schedules.cosine(0.012 if options.quick else 0.008, steps=steps), steps=steps // 20)
    optimizer = pn.chain(pn.clip_by_global_norm(1.0), pn.adamw(rate, beta2=0.99))
    print(f"a transformer of {pn.tree.size(params):,} parameters")
    curve: dict[int, float] = {}
    run: dict[str, Any] = {"key": train_key, "epochs": epochs, "each": "epoch", "engine": options.engine}
    batches = partial(windows, ids=content.train, size=size)
    for state in pn.train(net, pn.softmax_cross_entropy, optimizer, params, batches, **run):
        params = pn.to_engine(state.params, "numpy")
        nats = surprise(net, params, content.test)
        curve[state.epoch] = math.exp(nats.mean())
        E = math.exp(state.loss)
        print(f"epoch {state.epoch:3}   perplexity {E:6.2f}   held out {curve[state.epoch]:6.2f}", flush=True)

    print(f"transformer: perplexity {curve[epochs]:.2f}; at a temperature of {options.temperature} it writes:\n")
    print(text.write(net, params, content, "\n\nThe ", 400, options.temperature, write_key, window=TIME))
    if pn.plotting.is_available():
        command.keep(text.draw(curve, counted, content, nats, "transformer"), options.plot)


if __name__ == "__main__":
    main()
