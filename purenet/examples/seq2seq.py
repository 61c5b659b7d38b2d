"""Sequence to sequence: an encoder reads letters, and a decoder writes them backwards, one after another.

python -m purenet.examples.seq2seq

The sequences differ in length, so they are padded, and the lengths tell attention where each ends. The decoder learns
with teacher forcing: it is given what it should have said so far, and is to say the next letter; what stands in the
padding counts for nothing. Then it writes by itself, greedily: each time the likeliest letter, until it says that this
is the end. A sequence counts as exact if all that was written is right, the end too.

I. Sutskever et al., "Sequence to sequence learning with neural networks", 2014; A. Vaswani et al., "Attention is all
you need", 2017.
"""

import string
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.introspection import attention_weights
from purenet.plotting.canvas import new_figure

PAD, EDGE, FIRST = 0, 1, 2  # the padding; what stands before the first letter and after the last; the letter a
SYMBOLS, FEATURES, HEADS = FIRST + 26, 32, 2

words = pn.serial(pn.embedding(SYMBOLS, FEATURES), pn.positional_encoding)
encoder = pn.serial(pn.on_first(words), pn.transformer_block(FEATURES, HEADS))
net = pn.serial(
    pn.parallel(words, encoder, pn.identity),  # of (so far, (source, lengths), lengths)
    pn.transformer_decoder_block(FEATURES, HEADS),  # of (X, memory, lengths)
    pn.dense(SYMBOLS),
)
loss = pn.softmax_cross_entropy(ignore_index=PAD)


def sequences(key: Any, count: int, longest: int) -> tuple[Any, Any, Any]:
    """Letters (count, longest) with padding behind them, their lengths (count,), and the target: the letters backwards
    with the edge behind them (count, longest + 1)."""
    letter_key, length_key = pn.split(key)
    lengths = pn.random.randint(length_key, (count,), 1, longest + 1)
    place, end = np.arange(longest + 1), lengths[:, None]
    letters = FIRST + pn.random.randint(letter_key, (count, longest), 0, 26)
    source = np.where(place[:-1] < end, letters, PAD)
    backwards = np.take_along_axis(letters, np.maximum(end - 1 - place, 0), axis=1)
    return source, lengths, np.where(place < end, backwards, np.where(place == end, EDGE, PAD))


def batches(key: Any, steps: int, longest: int) -> Any:
    """Batches of 64 fresh sequences: what the net is given, and the target."""
    for own in pn.split(key, steps):
        source, lengths, target = sequences(own, 64, longest)
        so_far = np.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=EDGE)
        yield (so_far, (source, lengths), lengths), target


def write(params: Any, source: Any, lengths: Any) -> Any:
    """What the decoder writes (batch, time + 1): at each place the likeliest symbol, and padding after the end."""
    said = np.full((len(source), 1), EDGE)
    for _ in range(source.shape[1] + 1):
        scores = net.apply(params, (said, (source, lengths), lengths))[:, -1]
        ended = (said[:, 1:] == EDGE).any(axis=1)
        said = np.column_stack([said, np.where(ended, PAD, scores.argmax(axis=1))])
    return said[:, 1:]


def text(symbols: Any) -> str:
    """Letters, with | for the edge."""
    return "".join("|" if s == EDGE else string.ascii_lowercase[s - FIRST] for s in symbols if s != PAD)


def draw(shares: dict[int, float], weights: Any, read: str, written: str) -> Any:
    figure = new_figure(11, 5)
    left, right = figure.subplots(1, 2)
    left.plot(list(shares), list(shares.values()), marker="o")
    left.set(title="Fresh sequences written without a fault", xlabel="step", ylabel="share", ylim=(0, 1.03))
    image = right.imshow(weights[: len(written), : len(read)], cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=right, label="weight, mean of the heads")
    right.set(title="Where the decoder looks, as it writes", xlabel="read", ylabel="written")
    right.set(xticks=range(len(read)), xticklabels=read, yticks=range(len(written)), yticklabels=written)
    return figure


def main() -> None:
    options = command.parser(__doc__, "seq2seq.png").parse_args()
    steps, longest, count = (600, 4, 200) if options.quick else (4000, 12, 1000)
    params_key, batch_key, fresh_key = pn.split(pn.key(options.seed), 3)
    source, lengths, target = sequences(fresh_key, count, longest)
    optimizer = pn.adam(pn.schedules.warmup(pn.schedules.cosine(0.004, steps=steps), steps=steps // 20))
    fresh, shares = batches(batch_key, steps, longest), {}
    for state in pn.train(net, loss, optimizer, net.init(params_key), fresh, key=None, epochs=1):
        if state.step % (steps // 10) == 0:
            said = write(state.params, source, lengths)
            shares[state.step] = float((said == target).all(axis=1).mean())
            print(f"step {state.step:5,}   error {state.loss:.4f}   exact {shares[state.step]:.1%}", flush=True)
    i = int(lengths.argmax())  # one of the longest
    read, written = text(source[i]), text(said[i])
    print(f"read {read}, and wrote {written}")
    print(f"{shares[steps]:.1%} of {count:,} fresh sequences are exact")
    if pn.plotting.is_available():
        so_far = np.concatenate([[EDGE], said[i, :-1]])[None]
        one = source[i : i + 1], lengths[i : i + 1]
        *_, weights = attention_weights(net, state.params, (so_far, one, one[1])).values()  # the last is to the source
        command.keep(draw(shares, weights[0].mean(axis=0), read, written), options.plot)


if __name__ == "__main__":
    main()
