"""Deep Q-learning: a pole is kept upright by a net that learns what each push is worth, from replayed experience.

python -m purenet.examples.q_learning        (needs the extra: pip install 'purenet[rl]')

Q(s)ₐ is the sum of rewards to come, each worth γ times the one before. For a step from s by a to s′ with reward r it
is to be r + γ · max Q′(s′), or r at the end, where Q′ is the net as it was some steps ago: its params are kept, since
training does not change them. Of each output only that of the action taken has an error. The best params of the tests
on the way are kept.

V. Mnih et al., "Human-level control through deep reinforcement learning", Nature, 2015; the action at s′ is chosen by Q
and not by Q′, as in H. van Hasselt et al., "Deep reinforcement learning with double Q-learning", AAAI 2016.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

net = pn.serial(pn.dense(4, 128), pn.relu, pn.dense(128, 128), pn.relu, pn.dense(128, 2))
GAMMA, SIZE = 0.99, 64


def play(params: Any, seed: int, episodes: int) -> Any:
    """The return of each episode, always by the action that is worth most."""
    game, returns = command.cart_pole(), np.zeros(episodes)
    for i in range(episodes):
        state, done = game.reset(seed=seed + i)[0], False
        while not done:
            state, reward, ended, cut_off, _ = game.step(int(net.apply(params, state).argmax()))
            returns[i] += reward
            done = ended or cut_off
    return returns


def value_and_grad(params: Any, target_params: Any, batch: Any) -> tuple[float, Any]:
    """The Huber error of a batch of steps, and its gradient."""
    state, action, reward, after, ended = batch
    rows = np.arange(len(action))
    best = net.apply(params, after).argmax(axis=1)
    worth = reward + GAMMA * (1 - ended) * net.apply(target_params, after)[rows, best]
    y, pullback = net.vjp(params, state)
    E, of_taken = pn.huber.vjp(y[rows, action], worth)
    dy = np.zeros_like(y)
    dy[rows, action] = of_taken()
    return float(E), pullback(dy, wrt_x=False)[0]


def train(seed: int, steps: int, every: int) -> Any:
    """After each `every` steps the params, and the returns of the episodes since."""
    rng, game = np.random.default_rng(seed), command.cart_pole()
    params = target_params = net.init(pn.key(seed))
    optimizer = pn.chain(pn.clip_by_global_norm(10.0), pn.adam(pn.schedules.cosine(0.001, steps=steps)))
    state, run = game.reset(seed=seed)[0], optimizer.init(params)
    f = np.float32
    space = [((4,), f), ((), np.int64), ((), f), ((4,), f), ((), f)]  # state, action, reward, state after, ended
    memory = [np.zeros((steps, *shape), dtype) for shape, dtype in space]
    returns, total = [], 0.0
    for step in range(steps):
        explore = max(0.05, 1 - 5 * step / steps)
        action = int(rng.integers(2) if rng.random() < explore else net.apply(params, state).argmax())
        after, reward, ended, cut_off, _ = game.step(action)
        for column, entry in zip(memory, (state, action, reward, after, ended), strict=True):
            column[step] = entry
        state, total = after, total + float(reward)
        if ended or cut_off:
            returns.append(total)
            state, total = game.reset()[0], 0.0
        if step >= 500:
            picked = rng.integers(step + 1, size=SIZE)
            _, grads = value_and_grad(params, target_params, [column[picked] for column in memory])
            params, run = optimizer.step(params, grads, run)
        if step % 250 == 0:
            target_params = params
        if (step + 1) % every == 0:
            yield step + 1, params, returns
            returns = []


def main() -> None:
    options = command.parser(__doc__, "q_learning.png").parse_args()
    steps, every = (8000, 1000) if options.quick else (50_000, 2500)
    best, tests = -1.0, {}
    for step, params, returns in train(options.seed, steps, every):
        tests[step] = play(params, 1000 + options.seed, 10).mean()
        if tests[step] > best:
            best, kept = tests[step], params
        print(
            f"step {step:6,}   return in training {np.mean(returns):5.1f}   in 10 tests {tests[step]:5.1f}", flush=True
        )
    returns = play(kept, 5000 + options.seed, 100)  # other episodes than those by which it was chosen
    print(f"the best of them: a mean return of {returns.mean():.1f} over 100 episodes, the lowest {returns.min():.0f}")
    if pn.plotting.is_available():
        figure = new_figure(8, 4.5)
        ax = figure.subplots()
        ax.plot(list(tests), list(tests.values()), "o-", label="mean of 10 tests on the way")
        ax.axhline(returns.mean(), color="C1", linestyle="--", label="the best of them, over 100 other episodes")
        ax.set(title="CartPole by deep Q-learning", xlabel="step", ylabel="return (500 at most)", ylim=(0, 520))
        ax.legend()
        command.keep(figure, options.plot)


if __name__ == "__main__":
    main()
