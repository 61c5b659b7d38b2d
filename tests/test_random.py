from __future__ import annotations

import math

import numpy as np
import pytest

import purenet as pn
from purenet import random

# Drawn once and pinned: any platform and any NumPy from 2.0 must give these bits.
PINNED = {
    "split": lambda key: [k.value for k in random.split(key, 2)],
    "uniform float32": lambda key: random.uniform(key, (3,)).view(np.uint32).tolist(),
    "uniform float64": lambda key: random.uniform(key, (3,), -1.0, 1.0, np.float64).view(np.uint64).tolist(),
    "normal float32": lambda key: random.normal(key, (4,)).view(np.uint32).tolist(),
    "normal float64": lambda key: random.normal(key, (4,), np.float64).view(np.uint64).tolist(),
    "truncated normal": lambda key: random.truncated_normal(key, (3,)).view(np.uint32).tolist(),
    "bernoulli": lambda key: random.bernoulli(key, 0.3, (12,)).astype(int).tolist(),
    "permutation": lambda key: random.permutation(key, 8).tolist(),
    "fold in": lambda key: random.fold_in(key, 7).value,
    "randint": lambda key: random.randint(key, (6,), -5, 5).tolist(),
    "gumbel float32": lambda key: random.gumbel(key, (3,)).view(np.uint32).tolist(),
    "gumbel float64": lambda key: random.gumbel(key, (3,), np.float64).view(np.uint64).tolist(),
    "categorical": lambda key: random.categorical(key, np.array([0.0, 1.0, 2.0]), shape=(8,)).tolist(),
    "choice": lambda key: random.choice(key, 9, (4,), False, p=np.arange(9.0)).tolist(),
}
VALUES = {
    0: {
        "split": [228566938027350531518154623208366831806, 58821459621399263219314985506587774273],
        "uniform float32": [1024347520, 1010642560, 1058842821],
        "uniform float64": [13830346447821588170, 13826203092168267216, 13828547185889287158],
        "normal float32": [3222365837, 3207825978, 3214673803, 1042681933],
        "normal float64": [13835670283956705008, 13827864256724068081, 13831540654761741535, 4595010866432956378],
        "truncated normal": [3219782997, 3207201627, 3213932642],
        "bernoulli": [1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1],
        "permutation": [0, 2, 1, 5, 4, 3, 6, 7],
        "fold in": 213848892921698618674733637332067362056,
        "randint": [4, 3, 4, 1, -2, 0],
        "gumbel float32": [3216993013, 3199453247, 3209244976],
        "gumbel float64": [13832785771348071279, 13823369180754316694, 13828626075400557502],
        "categorical": [2, 2, 1, 1, 2, 2, 0, 2],
        "choice": [7, 6, 8, 4],
    },
    2024: {
        "split": [337567102275406484941280461220687493633, 318526756736473922044662978592594230568],
        "uniform float32": [1049513900, 1061225236, 1047335364],
        "uniform float64": [4602750034420812276, 4599207554153554488, 4604129179745147056],
        "normal float32": [1060101660, 1053448166, 1064618160, 1064461337],
        "normal float64": [4604363011197310443, 4600790943780607103, 4606787788817848537, 4606703595156634546],
        "truncated normal": [1059493890, 1052814713, 1063646070],
        "bernoulli": [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        "permutation": [7, 6, 4, 1, 5, 0, 3, 2],
        "fold in": 113514449276085544664387986691049627335,
        "randint": [2, -1, 2, -4, 2, 3],
        "gumbel float32": [1067570682, 1062924647, 1071087233],
        "gumbel float64": [4608372911604139192, 4605878590638118180, 4610260845578061364],
        "categorical": [2, 2, 2, 2, 2, 2, 1, 1],
        "choice": [5, 3, 2, 6],
    },
    170141183460469231731687303715884105729: {
        "split": [323322461527474937554980982804119229165, 121089767885432142210682493169920363341],
        "uniform float32": [1034595352, 1055005106, 1049903720],
        "uniform float64": [13816452449555535104, 13828292900543100852, 13829561756266003254],
        "normal float32": [3189141260, 3214076052, 3217846893, 1054960621],
        "normal float64": [13817832975157578939, 13831219739567000640, 13833244194545858581, 4601602936618412042],
        "truncated normal": [3188689660, 3213414016, 3216503295],
        "bernoulli": [1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0],
        "permutation": [2, 1, 6, 7, 0, 4, 5, 3],
        "fold in": 167843981623817158178363371008019860754,
        "randint": [1, 2, 0, 2, -3, -5],
        "gumbel float32": [1045334196, 3208307323, 3213375353],
        "gumbel float64": [4596434789389346303, 13828122677096470717, 13830843554907286948],
        "categorical": [2, 2, 2, 0, 2, 2, 2, 2],
        "choice": [5, 3, 7, 4],
    },
}


@pytest.mark.parametrize("name", PINNED)
@pytest.mark.parametrize("seed", VALUES)
def test_the_same_numbers_everywhere(seed, name):
    assert PINNED[name](pn.key(seed)) == VALUES[seed][name]


def test_keys_are_values():
    assert pn.key(3) == pn.key(3)
    assert hash(pn.key(3)) == hash(pn.key(np.int64(3)))
    assert repr(pn.key(3)) == "key(3)"
    assert eval(repr(pn.split(pn.key(0))[0]), {"key": pn.key}) == pn.split(pn.key(0))[0]
    with pytest.raises(AttributeError):
        pn.key(3).value = 4


def test_no_two_splits_are_alike():
    level = [pn.key(seed) for seed in range(20)]
    seen = set(level)
    for _ in range(3):
        level = [child for key in level for child in pn.split(key, 8)]
        assert not seen & set(level)
        seen |= set(level)
    assert len(seen) == 20 * (1 + 8 + 64 + 512)


def test_split_does_not_depend_on_how_many():
    assert pn.split(pn.key(1), 2) == pn.split(pn.key(1), 5)[:2]


def test_each_layer_gets_its_own_key():
    params = pn.serial(pn.dense(3, 3), pn.dense(3, 3), pn.serial(pn.dense(3, 3))).init(pn.key(0))
    weights = [params[0].weight, params[1].weight, params[2][0].weight]
    assert not any(np.array_equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_have_the_moments_of_their_distribution(dtype):
    n = 200_000
    tolerance = 5 / math.sqrt(n)
    u, z, t = (f(pn.key(4), (n,), dtype=dtype) for f in (random.uniform, random.normal, random.truncated_normal))
    assert u.dtype == z.dtype == t.dtype == dtype
    assert abs(u.mean() - 0.5) < tolerance
    assert abs(u.var() - 1 / 12) < tolerance
    assert abs(z.mean()) < tolerance
    assert abs(z.var() - 1) < 2 * tolerance
    assert abs((z**4).mean() - 3) < 20 * tolerance
    assert abs(t.mean()) < tolerance
    assert abs(t.var() - 0.7737413) < tolerance  # 1 − 2·2φ(2) / (Φ(2) − Φ(−2))
    assert np.abs(t).max() <= 2
    assert abs(random.bernoulli(pn.key(5), 0.3, (n,)).mean() - 0.3) < tolerance
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < tolerance


def test_the_ends_of_uniform():
    u = random.uniform(pn.key(0), (100_000,), -1.0, 1.0)
    assert u.min() >= -1
    assert u.max() < 1
    assert random.bernoulli(pn.key(0), 1.0, (1000,)).all()
    assert not random.bernoulli(pn.key(0), 0.0, (1000,)).any()


EACH_FLOAT = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", EACH_FLOAT)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0.1, 0.3), (100, 101), (-3e4, 3e4)])
def test_uniform_holds_low_and_never_high(low, high, dtype):
    u = random.uniform(pn.key(0), (300_000,), low, high, dtype)
    assert u.dtype == dtype
    assert dtype(low) <= u.min() <= u.max() < dtype(high)
    assert abs(u.astype(float).mean() - (low + high) / 2) < 0.01 * (high - low)


def test_uniform_between_neighbours():
    following = np.nextafter(np.float32(1), np.float32(2))
    assert (random.uniform(pn.key(0), (1000,), 1, float(following)) == 1).all()


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(2, 1, np.float32), (1, 1, np.float32), (math.nan, 1, np.float32), (-math.inf, 0, np.float64),
     (-3e38, 3e38, np.float32), (0, 1e5, np.float16), (100, 100.001, np.float16)],
)  # fmt: skip
def test_uniform_refuses_what_holds_no_number(low, high, dtype):
    with pytest.raises(ValueError, match="uniform takes low < high whose difference is finite"):
        random.uniform(pn.key(0), (2,), low, high, dtype)


def normal_mean(low, high):
    """(φ(low) − φ(high)) / (Φ(high) − Φ(low)), both sides from the tail in which nothing cancels."""
    density = [math.exp(-z * z / 2) / math.sqrt(2 * math.pi) for z in (low, high)]
    share = (math.erfc(low / math.sqrt(2)) - math.erfc(high / math.sqrt(2))) / 2
    return (density[0] - density[1]) / share


@pytest.mark.parametrize("dtype", EACH_FLOAT)
@pytest.mark.parametrize(("low", "high"), [(-2, 2), (-1, 30), (0, math.inf), (4, 6), (9, 10), (30, 31)])
def test_truncated_normal_far_out(low, high, dtype):
    for sign in (1, -1):
        ends = sorted((sign * low, sign * high))
        z = random.truncated_normal(pn.key(0), (20_000,), *ends, dtype=dtype)
        assert z.dtype == dtype
        assert ends[0] <= z.min() <= z.max() <= ends[1]
        assert len(np.unique(z)) > (10 if dtype is np.float16 else 4000)
        spread = min(1, 1 / max(1, low))
        assert abs(z.astype(float).mean() - sign * normal_mean(low, high)) < 0.03 * spread


def test_truncated_normal_where_there_is_nothing():
    with pytest.raises(ValueError, match=r"finds nothing of the normal distribution in \[40, 41\]"):
        random.truncated_normal(pn.key(0), (2,), 40, 41)
    with pytest.raises(ValueError, match="takes low < high"):
        random.truncated_normal(pn.key(0), (2,), 1, 1)


def test_bernoulli_of_small_probabilities():
    n = 4_000_000
    assert random.bernoulli(pn.key(0), 1e-9, (n,)).sum() == 0
    assert random.bernoulli(pn.key(0), 1 - 1e-9, (n,)).all()
    assert 15 < random.bernoulli(pn.key(0), 1e-5, (n,)).sum() < 65


def test_what_cannot_be_drawn():
    for draw in (random.uniform, random.normal, random.truncated_normal):
        with pytest.raises(TypeError, match="draws floating-point numbers, not int64"):
            draw(pn.key(0), (2,), dtype=np.int64)
    assert random.permutation(pn.key(0), 0).shape == (0,)
    for wrong in (-1, 2.5, True):
        with pytest.raises(ValueError, match="permutation takes a number of integers"):
            random.permutation(pn.key(0), wrong)


def shares(drawn, n):
    return np.bincount(drawn, minlength=n) / len(drawn)


def test_integers_and_classes_come_as_often_as_they_should():
    n, p = 200_000, np.array([0.1, 0.0, 0.3, 0.6])
    with np.errstate(divide="ignore"):
        logits = np.log(p) + 7
    for key in (pn.key(6), pn.key(7)):
        near = 5 / math.sqrt(n)
        assert abs(shares(random.randint(key, (n,), -2, 3) + 2, 5) - 0.2).max() < near
        assert abs(random.gumbel(key, (n,)).mean() - 0.5772157) < 2 * near
        assert abs(random.gumbel(key, (n,)).var() - math.pi**2 / 6) < 6 * near
        for found in (random.categorical(key, logits, shape=(n,)), random.choice(key, 4, (n,), p=3 * p)):
            assert abs(shares(found, 4) - p).max() < near
            assert not (found == 1).any()
        first = [random.choice(random.fold_in(key, i), 3, (2,), False, p=[1, 1, 2])[0] for i in range(5000)]
        assert abs(shares(first, 3) - [0.25, 0.25, 0.5]).max() < 0.04


def test_the_ends_of_randint():
    for low, high, dtype in [
        (-(2**63), 2**63, np.int64),
        (0, 2**64, np.uint64),
        (-128, 128, np.int8),
        (7, 8, np.int32),
    ]:
        found = random.randint(pn.key(0), (5000,), low, high, dtype)
        assert found.dtype == dtype
        assert low <= int(found.min()) <= int(found.max()) < high
        if high - low > 1:
            assert abs(found.astype(float).mean() - (low + high) / 2) < 0.02 * (high - low)
    third = (
        random.randint(pn.key(0), (60_000,), 0, 3 * 2**62, np.uint64) // 2**62
    )  # a plain remainder has 1/2, 1/4, 1/4
    assert abs(shares(third.astype(int), 3) - 1 / 3).max() < 0.01
    assert type(random.randint(pn.key(0), (), 0, 3)) is np.ndarray


def test_choice_of_an_array():
    a = np.arange(24).reshape(2, 4, 3)
    found = random.choice(pn.key(0), a, (5, 2), axis=1)
    ids = random.choice(pn.key(0), 4, (5, 2))
    assert np.array_equal(found, a[:, ids])
    assert np.array_equal(random.choice(pn.key(0), a, (5, 2), axis=-2), found)
    assert sorted(random.choice(pn.key(0), 6, (6,), replace=False)) == list(range(6))
    assert random.choice(pn.key(0), 0, (0,)).shape == (0,)
    assert random.choice(pn.key(0), a).shape == (4, 3)


def test_categorical_of_each_row_along_an_axis():
    sure = np.full((2, 3, 4), -np.inf, np.float32)
    sure[:, 1] = 0
    found = random.categorical(pn.key(0), sure, axis=1)
    assert found.shape == (2, 4)
    assert (found == 1).all()
    assert (random.categorical(pn.key(0), sure.astype(np.float16), 1, (5, 2, 4)) == 1).all()
    assert random.categorical(pn.key(0), sure[0, :, 0], shape=()) == 1
    assert random.categorical(pn.key(0), sure[:0], axis=1).shape == (0, 4)


def test_a_shape_may_be_one_number():
    for draw in (
        random.normal,
        random.uniform,
        random.truncated_normal,
        random.gumbel,
        lambda k, shape: random.bernoulli(k, 0.5, shape),
        lambda k, shape: random.randint(k, shape, 0, 9),
        lambda k, shape: random.categorical(k, np.zeros(9), shape=shape),
        lambda k, shape: random.choice(k, 9, shape),
    ):
        for n in (0, 3, np.int64(3)):
            np.testing.assert_array_equal(draw(pn.key(0), n), draw(pn.key(0), (int(n),)))


def test_folded_keys_are_none_of_the_split_ones():
    key = pn.key(0)
    keys = [random.fold_in(key, i) for i in range(300)] + [random.fold_in(key, 2**32 - 1), key, *pn.split(key, 300)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("draw", "error", "says"),
    [
        (lambda k: random.fold_in(k, -1), ValueError, r"fold_in takes an integer from 0 to 2\*\*32 - 1, not -1"),
        (lambda k: random.fold_in(k, 0.5), ValueError, "fold_in takes an integer"),
        (lambda k: random.normal(k, 2.5), TypeError, r"normal takes a shape, a whole number from 0 up .*, not 2\.5$"),
        (lambda k: random.uniform(k, (2, -1)), TypeError, r"uniform takes a shape, .*, not \(2, -1\)$"),
        (lambda k: random.gumbel(k, -1), TypeError, r"gumbel takes a shape, .*, not \(-1,\)$"),
        (lambda k: random.randint(k, "ab", 0, 2), TypeError, "randint takes a shape, .*, not 'ab'$"),
        (lambda k: random.choice(k, 3, (2.0,)), TypeError, r"choice takes a shape, .*, not \(2\.0,\)$"),
        (lambda k: random.bernoulli(k, 0.5, np.ones(2)), TypeError, "takes a shape, .*, not a float64 array of shape"),
        (lambda k: random.truncated_normal(k, np.ones(())), TypeError, "takes a shape, .*, not a float64 array of"),
        (lambda k: random.categorical(k, np.zeros(2), shape=0.5), TypeError, "categorical takes a shape"),
        (lambda k: random.randint(k, (2,), 3, 3), ValueError, "randint takes integers minval < maxval, not minval=3"),
        (lambda k: random.randint(k, (2,), 0, 1.5), ValueError, "randint takes integers minval < maxval"),
        (lambda k: random.randint(k, (2,), 0, 257, np.uint8), ValueError, "uint8 does not hold the integers"),
        (lambda k: random.randint(k, (2,), 0, 2, np.float32), TypeError, "randint draws integers, not float32"),
        (lambda k: random.gumbel(k, (2,), np.int32), TypeError, "gumbel draws floating-point numbers, not int32"),
        (lambda k: random.categorical(k, np.zeros((2, 0))), ValueError, "no classes to draw from"),
        (lambda k: random.categorical(k, np.zeros(2, int)), TypeError, "takes logits of floating-point numbers"),
        (lambda k: random.categorical(k, np.zeros((2, 3)), 2), ValueError, "takes an axis of its logits"),
        (lambda k: random.categorical(k, np.zeros((2, 3)), shape=(3,)), ValueError, "broadcast"),
        (lambda k: random.categorical(k, np.array([0.0, np.nan])), ValueError, "largest in each row is finite"),
        (lambda k: random.categorical(k, np.full(3, -np.inf)), ValueError, "largest in each row is finite"),
        (lambda k: random.choice(k, 0), ValueError, "choice has nothing to choose from"),
        (lambda k: random.choice(k, -3, (2,)), ValueError, "choice has nothing to choose from"),
        (lambda k: random.choice(k, [1, 2]), TypeError, "choice"),
        (lambda k: random.choice(k, 3, (4,), False), ValueError, "cannot choose 4 of 3 without replacement"),
        (lambda k: random.choice(k, 3, p=[0.5, 0.5]), ValueError, r"choice takes p of shape \(3,\)"),
        (lambda k: random.choice(k, 2, p=[1.5, -0.5]), ValueError, "choice takes p of finite numbers"),
        (lambda k: random.choice(k, 2, p=[0, np.nan]), ValueError, "choice takes p of finite numbers"),
        (lambda k: random.choice(k, 3, (2,), False, [0, 0, 1]), ValueError, "only 1 have a p above 0"),
        (lambda k: random.choice(k, np.zeros((2, 3)), axis=2), ValueError, "choice takes an axis of its array"),
        (lambda k: random.randint(0, (2,), 0, 3), TypeError, r"write purenet.key\(0\)"),
        (lambda k: random.fold_in(0, 1), TypeError, r"write purenet.key\(0\)"),
    ],
)
def test_what_of_integers_and_classes_cannot_be_drawn(draw, error, says):
    with pytest.raises(error, match=says):
        draw(pn.key(0))


def test_shapes():
    for shape in [(), (0,), (1,), (3, 0, 2), (2, 3)]:
        for sample in (random.uniform, random.normal, random.truncated_normal, random.gumbel):
            draw = sample(pn.key(0), shape)
            assert type(draw) is np.ndarray
            assert draw.shape == shape
    assert sorted(random.permutation(pn.key(0), 100)) == list(range(100))


def test_no_global_state_is_touched():
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002 (it is only looked at)
    pn.serial(pn.dense(3, 3)).init(pn.key(0))
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
