"""A table with gaps and categories: two inputs, two outputs and class weights, beside a scikit-learn pipeline.

python -m purenet.examples.tabular        (for the comparison: pip install 'purenet[sklearn]')

The CSV, written by this script, lists orders of a shop. Two things are to be told of an order: whether it is sent back,
as one in twelve is, and how many days it takes. Gaps of numbers become the mean of what is known, with a column that
says where they were; a category, or a gap in it, becomes a column for each value. Numbers and categories have a layer
of their own each; two outputs have one loss each, and an order that is sent back weighs as much more as it is rarer.
"""

import csv
import importlib.util
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

NUMBERS, CATEGORIES = ("price", "weight", "age"), ("country", "carrier")


def write(path: str, key: Any, count: int) -> None:
    """Orders, of which a tenth of the entries are missing."""
    keys = pn.split(key, 6)
    price, weight, age = pn.random.normal(keys[0], (3, count))
    country, carrier = pn.random.randint(keys[1], (2, count), 0, 4)
    late = 4 + 2 * (carrier == 3) + weight * (country > 1) + 0.5 * pn.random.normal(keys[2], (count,))
    risk = price * (carrier > 1) + 0.7 * age**2 + late / 2 - 6 + 0.5 * pn.random.normal(keys[3], (count,))
    columns = [np.round(column, 3).astype(str) for column in (price, weight, age)]
    columns += [np.array(["fr", "de", "it", "es"])[country], np.array(["van", "bike", "ship", "rail"])[carrier]]
    missing = pn.random.uniform(keys[4], (5, count)) < 0.1
    columns = [np.where(gap, "", column) for gap, column in zip(missing, columns, strict=True)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*NUMBERS, *CATEGORIES, "returned", "days"])
        rows.writerows(zip(*columns, (risk > -1).astype(int), late.round(3), strict=True))


def read(path: str) -> tuple[Any, Any, Any, Any]:
    """Numbers with NaN for a gap, categories as columns of 0 and 1, whether returned, and days."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = np.array([[float(row[name] or "nan") for name in NUMBERS] for row in rows], np.float32)
    columns = [np.array([row[name] for row in rows]) for name in CATEGORIES]
    found = [(column[:, None] == np.unique(column)).astype(np.float32) for column in columns]
    days = np.array([[float(row["days"])] for row in rows], np.float32)
    return numbers, np.concatenate(found, axis=1), np.array([int(row["returned"]) for row in rows]), days


def filled(moments: Any, numbers: Any) -> Any:
    """Standardized numbers, with 0 for a gap, and where the gaps were."""
    gaps = np.isnan(numbers)
    return np.concatenate([np.where(gaps, 0, (numbers - moments[0]) / moments[1]), gaps], axis=1).astype(np.float32)


net = pn.serial(
    pn.parallel(pn.dense(2 * len(NUMBERS), 32), pn.dense(16)),  # of the two inputs
    pn.concat,
    pn.serial(pn.relu, pn.dense(32), pn.relu),
    pn.fan_out(pn.dense(2), pn.dense(1)),  # the two outputs
)


def both(y: Any, target: Any) -> tuple[Any, Any]:
    """The sum of the two losses, and its rule."""
    E_class, of_class = pn.weighted(pn.softmax_cross_entropy).vjp(y[0], target[0])
    E_days, of_days = pn.mse.vjp(y[1], target[1])
    return E_class + E_days, lambda dE=1.0: (of_class(dE), of_days(dE))


def score(name: str, returned: Any, days: Any, unseen: Any) -> None:
    recalls = [(returned[unseen[2] == label] == label).mean() for label in (0, 1)]
    print(f"{name}: balanced accuracy {np.mean(recalls):.3f}, R² of the days {pn.metrics.r2(days, unseen[3]):.3f}")


def compare(data: Any, unseen: Any) -> None:
    """Scikit-learn's linear models in a pipeline, and its boosted trees, which need none."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    prepare = SimpleImputer(add_indicator=True), StandardScaler()
    linear = [make_pipeline(*prepare, m) for m in (LogisticRegression(class_weight="balanced"), LinearRegression())]
    trees = [HistGradientBoostingClassifier(class_weight="balanced"), HistGradientBoostingRegressor()]
    for name, (classifier, regressor) in {"linear": linear, "boosted trees": trees}.items():
        x, x_test = (np.concatenate(part[:2], axis=1) for part in (data, unseen))
        classifier.fit(x, data[2])
        regressor.fit(x, data[3].ravel())
        days = regressor.predict(x_test)[:, None].astype(np.float32)
        score(f"scikit-learn, {name}", classifier.predict(x_test), days, unseen)


def draw(errors: Any, returned: Any, days: Any, unseen: Any) -> Any:
    figure = new_figure(15, 4.5)
    left, middle, right = figure.subplots(1, 3)
    pn.plotting.error_curve(errors, left)
    counts = pn.metrics.confusion_matrix(returned, unseen[2])
    pn.plotting.confusion_matrix(counts, ["kept", "sent back"], ax=middle)
    right.scatter(unseen[3], days, s=5)
    right.axline((4, 4), slope=1, color="black", linestyle="--")
    right.set(title="Days, of unseen orders: told right on the line", xlabel="true", ylabel="predicted")
    return figure


def main() -> None:
    parser = command.parser(__doc__, "tabular.png")
    parser.add_argument("--csv", default="orders.csv", help="where to write the table")
    options = parser.parse_args()
    write(options.csv, pn.key(options.seed), 2000 if options.quick else 8000)
    key, split_key, init_key = pn.split(pn.key(options.seed + 1), 3)
    data, unseen = pn.data.split(split_key, *read(options.csv))
    print(f"read {options.csv}: {np.isnan(data[0]).mean():.1%} of the numbers are missing")
    print(f"{data[2].mean():.1%} of the orders are sent back")

    moments = np.nanmean(data[0], axis=0), np.nanstd(data[0], axis=0)
    x, x_test = ((filled(moments, part[0]), part[1]) for part in (data, unseen))
    returned, days = data[2:]
    center, scale = days.mean(), days.std()
    weight = (len(returned) / (2 * np.bincount(returned))).astype(np.float32)
    target = (returned, weight[returned]), (days - center) / scale

    loss = pn.Loss(lambda y, target: both(y, target)[0], both, "both")
    params = net.init(init_key, (x[0].shape[1:], x[1].shape[1:]))
    run: dict[str, Any] = {"key": key, "epochs": 20, "each": "epoch"}

    def batches(key: Any) -> Any:
        return pn.data.batches(key, x, target, size=64)

    errors = []
    for state in pn.train(net, loss, pn.adam(lr=0.002), params, batches, **run):
        errors.append(state.loss)
        print(f"epoch {state.epoch:3}   error {state.loss:.4f}", flush=True)
    scores, found = net.apply(state.params, x_test)
    score("purenet", scores.argmax(axis=1), found * scale + center, unseen)
    if importlib.util.find_spec("sklearn"):
        compare(data, unseen)
    if pn.plotting.is_available():
        command.keep(draw(errors, scores.argmax(axis=1), found * scale + center, unseen), options.plot)


if __name__ == "__main__":
    main()
