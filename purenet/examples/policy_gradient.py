"""Policy gradient: a pole is kept upright by a net that is told afterwards how well its pushes went.

python -m purenet.examples.policy_gradient        (needs the extra: pip install 'purenet[rl]')

The policy gives logits Y, and actions are drawn from softmax(Y). REINFORCE makes an action likelier by its advantage A,
the rewards that came after it less what a second net, the baseline, expected of the state:

    E = −mean A · log softmax(Y)ₐ        dE/dY = A · (softmax(Y) − H) / n, where H is 1 at the action, else 0

which is softmax cross-entropy with the actions as labels and the advantages as weights.

R. Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

policy = pn.serial(pn.dense(4, 64), pn.tanh, pn.dense(64, 2))
baseline = pn.serial(pn.dense(4, 64), pn.tanh, pn.dense(64, 1))
GAMMA = 0.99


def play(game: Any, params: Any, rng: Any, seed: int | None = None) -> tuple[Any, Any, Any]:
    """States, actions and rewards of an episode; without rng the likelier action is taken, else one is drawn."""
    states, actions, rewards, done = [game.reset(seed=seed)[0]], [], [], False
    while not done:
        y = policy.apply(params, states[-1])
        likelier = y[1] > y[0] if rng is None else rng.random() < 1 / (1 + np.exp(y[0] - y[1]))
        state, reward, ended, cut_off, _ = game.step(int(likelier))
        states.append(state)
        actions.append(int(likelier))
        rewards.append(float(reward))
        done = ended or cut_off
    return np.array(states[:-1]), np.array(actions), np.array(rewards)


def still_to_come(rewards: Any) -> Any:
    """At each step the sum of the rewards from there on, each worth γ times the one before."""
    found, total = np.zeros((len(rewards), 1), np.float32), 0.0
    for i in reversed(range(len(rewards))):
        found[i] = total = rewards[i] + GAMMA * total
    return found


def train(seed: int, batches: int, episodes: int = 10) -> Any:
    """After each batch of episodes the params of the policy, and the mean return."""
    rng, game = np.random.default_rng(seed), command.cart_pole()
    policy_key, baseline_key = pn.split(pn.key(seed))
    params, expected = policy.init(policy_key), baseline.init(baseline_key)
    optimizer = pn.chain(pn.clip_by_global_norm(1.0), pn.adam(pn.schedules.cosine(0.01, steps=batches)))
    state, expected_state = optimizer.init(params), optimizer.init(expected)
    of_policy = pn.value_and_grad(policy, pn.weighted(pn.softmax_cross_entropy(reduction="sum")))
    of_baseline = pn.value_and_grad(baseline, pn.mse)
    game.reset(seed=seed)
    for _ in range(batches):
        played = [play(game, params, rng) for _ in range(episodes)]
        states, actions = (np.concatenate(column) for column in list(zip(*played, strict=True))[:2])
        worth = np.concatenate([still_to_come(rewards) for _, _, rewards in played]) / 100
        advantage = (worth - baseline.apply(expected, states))[:, 0]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8) / len(actions)
        _, grads = of_policy(params, states, (actions, advantage))
        params, state = optimizer.step(params, grads, state)
        _, grads = of_baseline(expected, states, worth)
        expected, expected_state = optimizer.step(expected, grads, expected_state)
        yield params, len(actions) / episodes


def main() -> None:
    options = command.parser(__doc__, "policy_gradient.png").parse_args()
    batches, returns = 20 if options.quick else 150, []
    for trained in train(options.seed, batches):
        params, mean = trained
        returns.append(mean)
        if len(returns) % (batches // 10) == 0:
            print(f"after {10 * len(returns):5,} episodes   mean return {mean:5.1f}", flush=True)

    game = command.cart_pole()
    tests = [len(play(game, params, None, 1000 + options.seed + i)[1]) for i in range(100)]
    print(f"by the likelier action: a mean return of {np.mean(tests):.1f} over 100 episodes, the lowest {min(tests)}")
    if pn.plotting.is_available():
        figure = new_figure(8, 4.5)
        ax = figure.subplots()
        ax.plot(10 * np.arange(1, batches + 1), returns, label="mean of ten episodes in training")
        ax.axhline(float(np.mean(tests)), color="C1", linestyle="--", label="by the likelier action, over 100 episodes")
        ax.set(title="CartPole by policy gradient", xlabel="episode", ylabel="return (500 at most)", ylim=(0, 520))
        ax.legend(loc="lower right")
        command.keep(figure, options.plot)


if __name__ == "__main__":
    main()
