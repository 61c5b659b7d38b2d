"""What the examples of language share: a text that comes with Python, a count model to beat, and a picture."""

import math
import platform
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

import purenet as pn
from purenet.plotting.canvas import new_figure


class Text(NamedTuple):
    """The characters that occur, in order, and the numbers of those to train on and of those held out."""

    alphabet: str
    train: Any
    test: Any

    def encode(self, characters: str) -> Any:
        return np.array([self.alphabet.index(c) for c in characters])

    def decode(self, ids: Any) -> str:
        return "".join(self.alphabet[i] for i in ids)


def read(count: int | None = None) -> Text:
    """The help topics of Python, `pydoc_data.topics`, or their first `count` characters; the last tenth is held out.

    They differ from version to version. Whole sections stand in several topics, so each paragraph is taken once:
    otherwise the held-out part would hold what was trained on.
    """
    from pydoc_data.topics import topics

    paragraphs = [paragraph for name in sorted(topics) for paragraph in topics[name].split("\n\n")]
    once = {" ".join(paragraph.split()): paragraph for paragraph in reversed(paragraphs)}  # however it is indented
    text = "\n\n".join(reversed(once.values()))[:count]
    alphabet = "".join(sorted(set(text)))
    ids = Text(alphabet, None, None).encode(text)
    cut = len(ids) * 9 // 10
    print(
        f"the help of Python {platform.python_version()}: {len(ids):,} characters of {len(alphabet)} kinds, "
        f"the last {len(ids) - cut:,} held out"
    )
    return Text(alphabet, ids[:cut], ids[cut:])


def count_perplexity(text: Text, order: int = 3) -> float:
    """The perplexity on the held-out part of a model that counts what comes after each `order` characters.

    It is interpolated: P of a character c after a context h rests on P after h without its first character, h':

        P(c | h) = (n(hc) + t(h) · P(c | h')) / (n(h) + t(h))

    where n counts in the training part, and t(h) is how many different characters come after h there; with no context
    left, all characters are as likely. I. Witten, T. Bell, "The zero-frequency problem", 1991.

    >>> text = Text("ab", np.array([0, 0, 0, 1]), np.array([0, 1]))
    >>> round(count_perplexity(text, order=0) ** 2, 6)  # P(a) = (3 + 2 · 1/2) / (4 + 2), P(b) = (1 + 2 · 1/2) / (4 + 2)
    4.5
    """
    train, test = tuple(text.train.tolist()), tuple(text.test.tolist())
    n: Counter[Any] = Counter()
    for length in range(1, order + 2):
        n.update(zip(*(train[i:] for i in range(length)), strict=False))
    before, kinds = Counter[Any](), Counter[Any]()
    for gram, count in n.items():
        before[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    total = 0.0
    for i in range(order, len(test)):
        P = 1 / len(text.alphabet)
        for length in range(order + 1):
            gram = test[i - length : i + 1]
            if h := before[gram[:-1]]:
                t = kinds[gram[:-1]]
                P = (n[gram] + t * P) / (h + t)
        total -= math.log(P)
    return math.exp(total / (len(test) - order))


def write(
    net: Any, params: Any, text: Text, begun: str, count: int, temperature: float, key: Any, window: int | None = None
) -> str:
    """So many characters more, each drawn from softmax(Y / temperature) and read by the net in its turn.

    The net takes (ids, state), and gives the state to go on with: what is read is not read again. A net that has
    learned on windows of some length begins anew when it has read so much, with the last half of it.
    """
    said, ids, state, fresh = begun, text.encode(begun), None, len(begun)
    for own in pn.split(key, count):
        scores, state = net.apply(params, (ids[None], state))
        ids = pn.random.categorical(own, scores[:, -1] / temperature)
        said, fresh = said + text.decode(ids), fresh + 1
        if window and fresh > window:
            ids, state, fresh = text.encode(said[-(window // 2) :]), None, window // 2
    return said


def draw(curve: dict[int, float], counted: float, text: Text, nats: Any, name: str) -> Any:
    """The perplexity over the epochs, and the first held-out characters, each as dark as it surprised the net."""
    figure = new_figure(13, 5)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    left.plot(list(curve), list(curve.values()), marker="o", label=name)
    left.axhline(counted, color="black", linestyle="--", label="counts after 3 characters")
    left.set(title="Perplexity on the held-out text", xlabel="epoch", ylabel="perplexity")
    left.locator_params(axis="x", integer=True)
    left.legend()
    lines, columns = 16, 60
    bits = nats[: lines * columns].reshape(lines, columns) / math.log(2)
    image = right.imshow(bits, cmap="Oranges", vmin=0, vmax=12, aspect="auto")
    figure.colorbar(image, ax=right, label="bits")
    for i, c in enumerate(text.decode(text.test[1 : 1 + lines * columns])):  # nothing tells of the first
        shown = {"\n": "↵", " ": "·"}.get(c, c)
        right.text(i % columns, i // columns, shown, ha="center", va="center", fontsize=7, family="monospace")
    right.set(title=f"What surprises the {name} in it", xticks=[], yticks=[])
    return figure
