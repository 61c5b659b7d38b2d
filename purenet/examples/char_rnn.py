"""A language model: an LSTM reads a text character by character, says what comes next, and so writes text of its own.

python -m purenet.examples.char_rnn

The text is cut into 32 strips, which are the batch, and read in pieces of 64 characters. The state at the end of a
piece is where the next begins, so the net knows of what was long ago; the gradient ends where the piece begins
(truncated back-propagation through time).

The measure is perplexity, exp of the mean cross-entropy: a choice among four characters that are equally likely has 4.
To beat is a model that counts what comes after each three characters; it is in `purenet.examples.text`.

A. Karpathy, "The unreasonable effectiveness of recurrent neural networks", 2015; T. Mikolov et al., "Recurrent neural
network based language model", 2010.
"""

import math
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command, text

loss = pn.softmax_cross_entropy


def model(characters: int, hidden: int) -> Any:
    """Of (ids, state) the scores of the next character at each place, and the state to go on with."""
    return pn.serial(
        pn.on_first(pn.embedding(characters, 32)),
        pn.lstm(32, hidden),
        pn.on_first(pn.dropout(0.1)),
        pn.on_first(pn.dense(hidden, characters)),
    )


def pieces(ids: Any, strips: int, time: int) -> Any:
    """Ids (strips, time) and at each place the next one, from the start of the strips to their end."""
    length = (len(ids) - 1) // strips
    x, target = (ids[start:][: strips * length].reshape(strips, length) for start in (0, 1))
    for t in range(0, length, time):
        yield x[:, t : t + time], target[:, t : t + time]


def epoch(net: Any, optimizer: Any, params: Any, moments: Any, ids: Any, key: Any) -> Any:
    """The params, what the optimizer keeps, and the mean loss of one pass over the text."""
    state, losses = None, []
    for x, target in pieces(ids, 32, 64):
        key, own = pn.split(key)
        (scores, state), pullback = net.vjp(params, (x, state), own)
        E, pull = loss.vjp(scores, target)
        grads, _ = pullback((pull(), None), wrt_x=False)  # None: no gradient comes from the piece after
        params, moments = optimizer.step(params, grads, moments)
        losses.append(E)
    return params, moments, float(np.mean(losses))


def surprise(net: Any, params: Any, ids: Any) -> Any:
    """−log P of each character but the first, in one strip from the start to the end."""
    state, found = None, []
    for x, target in pieces(ids, 1, 1000):
        scores, state = net.apply(params, (x, state))
        logs = pn.log_softmax.apply((), scores)
        found.append(-np.take_along_axis(logs, target[..., None], axis=2).ravel())
    return np.concatenate(found)


def main() -> None:
    parser = command.parser(__doc__, "char_rnn.png")
    parser.add_argument("--epochs", type=int, default=12, help="how many to train")
    parser.add_argument("--temperature", type=float, default=0.7, help="below 1, likely characters are likelier still")
    options = parser.parse_args()
    content = text.read(60_000 if options.quick else None)
    epochs, hidden = (4, 64) if options.quick else (options.epochs, 192)
    counted = text.count_perplexity(content)
    print(f"counts after 3 characters: perplexity {counted:.2f}")

    net = model(len(content.alphabet), hidden)
    params_key, write_key, *keys = pn.split(pn.key(options.seed), 2 + epochs)
    params = net.init(params_key)
    steps = epochs * -(-((len(content.train) - 1) // 32) // 64)
    optimizer = pn.chain(pn.clip_by_global_norm(1.0), pn.adam(pn.schedules.cosine(0.01, steps=steps)))
    moments, curve = optimizer.init(params), {}
    print(f"an LSTM of {pn.tree.size(params):,} parameters")
    for n, key in enumerate(keys, 1):
        params, moments, E = epoch(net, optimizer, params, moments, content.train, key)
        nats = surprise(net, params, content.test)
        curve[n] = math.exp(nats.mean())
        print(f"epoch {n:3}   perplexity {math.exp(E):6.2f}   on the held-out text {curve[n]:6.2f}", flush=True)

    print(f"LSTM: perplexity {curve[epochs]:.2f}; it writes, at a temperature of {options.temperature}:\n")
    print(text.write(net, params, content, "\n\nThe ", 400, options.temperature, write_key))
    if pn.plotting.is_available():
        command.keep(text.draw(curve, counted, content, nats, "LSTM"), options.plot)


if __name__ == "__main__":
    main()
