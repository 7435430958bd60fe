# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's meta-estimators on real images with names, each against a loop by hand."""

from collections.abc import Callable
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pytest
import sklearn
from joblib import parallel_config
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score, get_scorer, log_loss
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.fixes import parse_version
from sklearn.utils.parallel import Parallel, delayed

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

NAMES = ["Bag", "Sandal", "Trouser"]
SHAPES = {"flat": (49,), "shaped": (7, 7), "channel": (7, 7, 1)}
FOLDS = StratifiedKFold(2)


def since(version):
    return parse_version(sklearn.__version__) >= parse_version(version)


class Clothes(NamedTuple):
    """Images and their names to train on, with weights, and others to test on."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def seen_as(self, shape):
        X, X_test = (pixels.reshape(-1, *SHAPES[shape]) for pixels in (self.X, self.X_test))
        return self._replace(X=X, X_test=X_test)


@pytest.fixture(scope="module")
def clothes():
    """Give 240 images to train on and 300 to test on, each the means of 7 x 7 blocks."""

    def images(part):
        X, y = load_fashion_mnist_sample(part, as_names=True)
        X, y = X[np.isin(y, NAMES)], y[np.isin(y, NAMES)]
        return X.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).astype(np.uint8), y

    X, y = images("train")
    weight = np.random.default_rng(0).uniform(0.1, 2, size=240)
    return Clothes(X[:240], y[:240], weight, *images("test"))


@pytest.fixture
def routing(request):
    """Switch metadata routing off or on."""
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


BACKENDS = {"threads": "threading", "processes": "loky"}  # of two jobs; else one after the other


def jobs_by(way):
    """Let joblib run jobs in a way, until the context ends."""
    return parallel_config(BACKENDS.get(way, "threading"), n_jobs=2 if way in BACKENDS else 1)


@pytest.fixture
def jobs(request):
    """Let joblib run jobs in one of the ways."""
    with jobs_by(request.param):
        yield


def spread(*axes, ways=("in turn", *BACKENDS)):
    """List all combinations of values with ways to run jobs, as parameters of a test.

    By default so few run that each value does. The others are slow or, where jobs run in processes,
    marked so.
    """
    columns = [*map(tuple, axes), tuple(way for way in ways if way != "processes")]
    few = [
        [column[row % len(column)] for column in columns] for row in range(max(map(len, columns)))
    ]

    def marks(values):
        if values[-1] == "processes":
            return pytest.mark.processes
        return () if list(values) in few else pytest.mark.slow

    return [pytest.param(*values, marks=marks(values)) for values in product(*axes, ways)]


def in_a_job(function, *arguments):
    """Call a function where joblib runs its jobs: a worker process has other threads than this one.

    Sums are rounded by the number of threads, so both sides of a comparison must have as many.
    """
    (result,) = Parallel()([delayed(function)(*arguments)])
    return result


def network(**params):
    """Make an unfitted classifier, which requests weights where metadata are routed."""
    settings = {"epochs": 3, "batch_size": 40, "learning_rate": 0.05, "random_state": 0}
    clf = FashionCNNClassifier((4,), (8,), **(settings | params))
    if sklearn.get_config()["enable_metadata_routing"]:
        clf.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        clf.set_partial_fit_request(sample_weight=True)  # which learning_curve asks for
    return clf


def scorer(name):
    """Get a scorer, which requests weights where metadata are routed."""
    scorer = get_scorer(name)
    if sklearn.get_config()["enable_metadata_routing"]:
        scorer.set_score_request(sample_weight=True)
    return scorer


def trained(X, y, weight=None, rows=slice(None), **params):
    return network(**params).fit(X[rows], y[rows], taken(weight, rows))


def taken(weight, rows):
    return None if weight is None else weight[rows]


class Case(NamedTuple):
    """An ensemble, or another meta-estimator that predicts, and the loop that it equals."""

    make: Callable
    by_hand: Callable  # of the fitted ensemble, X, y, weight or None, X_test
    response: str = "predict_proba"
    shapes: tuple = tuple(SHAPES)
    weights: tuple = ("unrouted", "routed")  # how it takes sample_weight
    labels: Callable = np.asarray  # of the names


CASES = {}


def ensemble(make, **options):
    """Name a case after the function that is its loop by hand."""

    def add(by_hand):
        CASES[by_hand.__name__] = Case(make, by_hand, **options)
        return by_hand

    return add


def negative(X):
    return 255 - X


@ensemble(lambda: Pipeline([("negative", FunctionTransformer(negative)), ("network", network())]))
def pipeline(_, X, y, weight, X_test):
    return trained(255 - X, y, weight).predict_proba(255 - X_test)


def calibrated(fitted, X, y, weight, X_test):
    total = np.zeros((len(X_test), 3))
    for rows, held_out in FOLDS.split(X, y):
        frozen = FrozenEstimator(trained(X, y, weight, rows))
        one_fold = CalibratedClassifierCV(
            frozen, method=fitted.method, cv=[(rows, held_out)], ensemble=True
        )
        with sklearn.config_context(enable_metadata_routing=True):  # without, it warns of weights
            one_fold.fit(X, y, weight)
        total += one_fold.predict_proba(X_test)
    return total / FOLDS.n_splits


for method in ["sigmoid", "isotonic"] + ["temperature"] * since("1.8"):
    CASES[method] = Case(
        lambda method=method: CalibratedClassifierCV(network(), method=method, cv=FOLDS),
        calibrated,
        # scikit-learn 1.6 fits no sigmoid to float32 scores with float64 weights
        weights=("unrouted", "routed") if method != "sigmoid" or since("1.7") else (),
    )


def seeds_of(fitted):
    seeds = [member.random_state for member in fitted.estimators_]
    assert len(set(seeds)) == 3
    return seeds


@ensemble(lambda: BaggingClassifier(network(), n_estimators=3, random_state=0), shapes=("flat",))
def bagging(fitted, X, y, weight, X_test):
    total = np.zeros((len(X_test), 3))
    for seed, rows in zip(seeds_of(fitted), fitted.estimators_samples_, strict=True):
        counts = np.bincount(rows, minlength=len(y))
        if weight is not None and not since("1.8"):
            counts = counts * weight  # later versions draw rows by weight
        total += trained(X, y, counts, random_state=seed).predict_proba(X_test)
    return total / 3


@ensemble(
    lambda: AdaBoostClassifier(network(), n_estimators=3, random_state=0),
    response="decision_function",
    weights=("unrouted",),
)
def adaboost(fitted, X, y, weight, X_test):
    weight = np.ones(len(y)) if weight is None else weight
    decisions, votes = [], []
    for seed in seeds_of(fitted):
        weight = weight / weight.sum()
        clf = trained(X, y, weight, random_state=seed)
        wrong = clf.predict(X) != y
        error = np.average(wrong, weights=weight)
        vote = np.log((1 - error) / error) + np.log(2)
        weight = np.exp(np.log(weight) + vote * wrong)
        predicted = clf.predict(X_test)[:, np.newaxis]
        decisions.append(np.where(predicted == clf.classes_, vote, -1 / 2 * vote))
        votes.append(vote)
    return sum(decisions) / np.sum(votes)


def two_networks():
    return [("first", network(random_state=0)), ("second", network(random_state=1))]


@ensemble(lambda: VotingClassifier(two_networks(), voting="soft", weights=[1, 2]))
def voting(_, X, y, weight, X_test):
    first, second = (trained(X, y, weight, random_state=seed) for seed in (0, 1))
    probabilities = [first.predict_proba(X_test), second.predict_proba(X_test)]
    return np.average(probabilities, axis=0, weights=[1, 2])


@ensemble(lambda: StackingClassifier(two_networks(), final_estimator=GaussianNB(), cv=FOLDS))
def stacking(_, X, y, weight, X_test):
    inner, outer = np.empty((2, len(y), 3), np.float32), []
    for seed in (0, 1):
        for rows, held_out in FOLDS.split(X, y):
            clf = trained(X, y, weight, rows, random_state=seed)
            inner[seed, held_out] = clf.predict_proba(X[held_out])
        outer.append(trained(X, y, weight, random_state=seed).predict_proba(X_test))
    return GaussianNB().fit(np.hstack(inner), y, weight).predict_proba(np.hstack(outer))


@ensemble(lambda: OneVsRestClassifier(network()), weights=("routed",))
def one_vs_rest(_, X, y, weight, X_test):
    shares = [trained(X, y == name, weight).predict_proba(X_test)[:, 1] for name in NAMES]
    return np.transpose(shares / np.sum(shares, axis=0))


@ensemble(
    lambda: OneVsOneClassifier(network()),
    response="decision_function",
    shapes=("flat",),
    weights=("routed",),
)
def one_vs_one(_, X, y, weight, X_test):
    votes, confidences = np.zeros((2, len(X_test), 3))
    for first, second in combinations(range(3), 2):
        rows = np.isin(y, [NAMES[first], NAMES[second]])
        decision = trained(X, y, weight, rows).decision_function(X_test)
        votes[decision <= 0, first] += 1
        votes[decision > 0, second] += 1
        confidences[:, first] -= decision
        confidences[:, second] += decision
    return votes + confidences / (3 * (np.abs(confidences) + 1))


@ensemble(
    lambda: OutputCodeClassifier(network(), random_state=6),  # no column of the code is constant
    response="predict",
    weights=("routed",),
)
def output_code(fitted, X, y, weight, X_test):
    code = fitted.code_book_
    bits = code[np.searchsorted(NAMES, y)]
    found = [trained(X, bit, weight).decision_function(X_test) for bit in bits.T]
    distances = np.linalg.norm(np.transpose(found)[:, np.newaxis] - code, axis=2)
    return np.take(NAMES, distances.argmin(axis=1))


@ensemble(
    lambda: MultiOutputClassifier(network()),
    labels=lambda names: np.column_stack([names, names == "Sandal"]),
)
def multi_output(_, X, y, weight, X_test):
    return [trained(X, column, weight).predict_proba(X_test) for column in y.T]


@ensemble(
    lambda: ClassifierChain(network(), order=[1, 0]),
    shapes=("flat",),
    weights=("routed",),
    # a label is a pixel of the next network's images, so it is a number
    labels=lambda names: np.column_stack([names == "Bag", names == "Sandal"]).astype(int),
)
def chain(_, X, y, weight, X_test):
    first = trained(X, y[:, 1], weight)
    second = trained(np.column_stack([X, y[:, 1]]), y[:, 0], weight)
    longer = np.column_stack([X_test, first.predict(X_test)])
    return np.column_stack([second.predict_proba(longer)[:, 1], first.predict_proba(X_test)[:, 1]])


THRESHOLDS = np.linspace(0.05, 0.95, 10)


@ensemble(
    lambda: TunedThresholdClassifierCV(
        network(), scoring=scorer("balanced_accuracy"), thresholds=THRESHOLDS, cv=FOLDS
    ),
    response="predict",
    weights=("routed",),
    labels=lambda names: np.where(names == "Bag", "a bag", "no bag"),
)
def tuned_threshold(_, X, y, weight, X_test):
    def predict(shares, threshold):
        return np.where(shares >= threshold, "no bag", "a bag")

    scores = np.zeros(len(THRESHOLDS))
    for rows, held_out in FOLDS.split(X, y):
        shares = trained(X, y, weight, rows).predict_proba(X[held_out])[:, 1]
        given = {"sample_weight": taken(weight, held_out)}
        scores += [
            balanced_accuracy_score(y[held_out], predict(shares, threshold), **given)
            for threshold in THRESHOLDS
        ]
    shares = trained(X, y, weight).predict_proba(X_test)[:, 1]
    return predict(shares, THRESHOLDS[scores.argmax()])


def runs():
    """List name, shape, and way of each run."""
    for name, case in CASES.items():
        parallel = BACKENDS if "n_jobs" in case.make().get_params() else ()
        yield from spread([name], case.shapes, ways=("plain", *case.weights, *parallel))


@pytest.mark.parametrize(("name", "shape", "way"), list(runs()))
def test_an_ensemble_equals_a_loop_by_hand(clothes, name, shape, way):
    case = CASES[name]
    X, y, weight, X_test, y_test = clothes.seen_as(shape)
    y, y_test = case.labels(y), case.labels(y_test)
    weight_name = "sample_weight"
    if way == "unrouted" and name == "pipeline":
        weight_name = "network__sample_weight"
    given = {weight_name: weight} if way in case.weights else {}
    with jobs_by(way):
        with sklearn.config_context(enable_metadata_routing=way == "routed"):
            fitted = case.make().fit(X, y, **given)
            response = in_a_job(getattr(fitted, case.response), X_test)
        by_hand = in_a_job(case.by_hand, fitted, X, y, weight if given else None, X_test)
    np.testing.assert_array_equal(joined(response), joined(by_hand))
    assert np.mean(fitted.predict(X_test) == y_test) > 0.8  # 0.83 to 0.95


def joined(response):
    """Join what multi-output classifiers give as one array for each output."""
    return np.hstack(response) if isinstance(response, list) else response


@pytest.mark.parametrize(
    ("shape", "routing", "jobs"),
    spread(SHAPES, (False, True)),
    indirect=["routing", "jobs"],
)
def test_cross_validation_equals_a_loop_by_hand(clothes, routing, jobs, shape):
    X, y, weight, X_test, _ = clothes.seen_as(shape)
    given = {"params": {"sample_weight": weight}, "cv": FOLDS}
    results = cross_validate(network(), X, y, return_estimator=True, **given)
    probabilities = cross_val_predict(network(), X, y, method="predict_proba", **given)
    by_hand = in_a_job(folds_by_hand, X, y, weight, routing)
    for i, (clf, held_out, score, probabilities_by_hand) in enumerate(by_hand):
        assert results["test_score"][i] == score > 0.7
        np.testing.assert_array_equal(probabilities[held_out], probabilities_by_hand)
        np.testing.assert_array_equal(
            results["estimator"][i].predict_proba(X_test), clf.predict_proba(X_test)
        )


def folds_by_hand(X, y, weight, weigh_scores):
    folds = []
    for rows, held_out in FOLDS.split(X, y):
        clf = trained(X, y, weight, rows)
        score = clf.score(X[held_out], y[held_out], weight[held_out] if weigh_scores else None)
        folds.append((clf, held_out, score, clf.predict_proba(X[held_out])))
    return folds


def losses_by_hand(X, y, weight=None, weight_of_loss=None, size=None, **params):
    losses = []
    for rows, held_out in FOLDS.split(X, y):
        clf = trained(X, y, weight, rows[:size], **params)
        probabilities = clf.predict_proba(X[held_out])
        given = taken(weight_of_loss, held_out)
        losses.append(log_loss(y[held_out], probabilities, sample_weight=given))
    return losses


@pytest.mark.parametrize(
    ("shape", "routing", "jobs"),
    spread(SHAPES, (False, True)),
    indirect=["routing", "jobs"],
)
def test_a_learning_curve_equals_a_loop_by_hand(clothes, routing, jobs, shape):
    X, y, weight, _, _ = clothes.seen_as(shape)
    given = {"params": {"sample_weight": weight}, "cv": FOLDS, "scoring": scorer("neg_log_loss")}
    sizes, _, scores = learning_curve(network(), X, y, train_sizes=[30, 120], **given)
    small, large = (
        in_a_job(losses_by_hand, X, y, weight, weight if routing else None, size) for size in sizes
    )
    np.testing.assert_array_equal(-scores, [small, large])
    assert max(large) < min(small)


GRID = {"learning_rate": [0.05, 0.005], "label_smoothing": [0.0, 0.2]}
EPOCHS = {"resource": "epochs", "min_resources": 1, "max_resources": 4, "factor": 2}
SEARCHES = {
    "grid": lambda: GridSearchCV(network(), GRID, scoring=scorer("neg_log_loss"), cv=FOLDS),
    "randomized": lambda: RandomizedSearchCV(
        network(), GRID, n_iter=3, random_state=0, scoring=scorer("neg_log_loss"), cv=FOLDS
    ),
    "halving": lambda: HalvingGridSearchCV(
        network(), GRID, **EPOCHS, scoring=scorer("neg_log_loss"), cv=FOLDS
    ),
}


def losses_of_each(X, y, candidates):
    return [losses_by_hand(X, y, **params) for params in candidates]


def losses_of(search):
    return -np.column_stack([search.cv_results_[f"split{i}_test_score"] for i in range(2)])


@pytest.mark.parametrize(("kind", "jobs"), spread(SEARCHES), indirect=["jobs"])
def test_a_search_equals_a_loop_by_hand(clothes, jobs, kind):
    for shape in ("flat", "shaped"):
        X, y, _, X_test, y_test = clothes.seen_as(shape)
        search = SEARCHES[kind]().fit(X, y)
        by_hand = in_a_job(losses_of_each, X, y, search.cv_results_["params"])
        np.testing.assert_array_equal(losses_of(search), by_hand)
        best = trained(X, y, **search.best_params_)
        np.testing.assert_array_equal(search.predict_proba(X_test), best.predict_proba(X_test))
        assert search.best_params_["learning_rate"] == 0.05
        assert best.score(X_test, y_test) > 0.8


@pytest.mark.parametrize(
    ("kind", "routing"), spread(SEARCHES, ways=(False, True)), indirect=["routing"]
)
def test_weights_in_a_search(clothes, routing, kind):
    X, y, weight, X_test, _ = clothes
    search = SEARCHES[kind]().fit(X, y, sample_weight=weight)
    # before 1.7, scorers were given weights by routing only
    weight_of_loss = weight if routing or since("1.7") else None
    np.testing.assert_array_equal(
        losses_of(search),
        [losses_by_hand(X, y, weight, weight_of_loss, **p) for p in search.cv_results_["params"]],
    )
    best = trained(X, y, weight, **search.best_params_)
    np.testing.assert_array_equal(search.predict_proba(X_test), best.predict_proba(X_test))


def test_halving_gives_the_better_half_twice_the_epochs(clothes):
    X, y = clothes.X, clothes.y
    search = SEARCHES["halving"]().fit(X, y)
    assert search.n_resources_ == [1, 2, 4]
    tried, candidates = [], list(ParameterGrid(GRID))
    for epochs in (1, 2, 4):
        candidates = [params | {"epochs": epochs} for params in candidates]
        tried += candidates
        candidates.sort(key=lambda params: sum(losses_by_hand(X, y, **params)))
        candidates = candidates[: len(candidates) // 2]
    assert sorted(search.cv_results_["params"], key=str) == sorted(tried, key=str)
    assert search.best_params_ == tried[-1]
    assert search.best_estimator_.epochs == search.best_estimator_.n_iter_ == 4


@pytest.mark.parametrize("routing", [False, True], indirect=True)
def test_self_training_equals_a_loop_by_hand(clothes, routing):
    X, y, _, X_test, y_test = clothes.seen_as("flat")
    names = y.astype(object)
    names[80:] = -1
    fitted = SelfTrainingClassifier(network(epochs=6)).fit(X, names)
    while (unknown := names == -1).any():
        clf = trained(X[~unknown], names[~unknown], epochs=6)
        sure = clf.predict_proba(X[unknown]).max(axis=1) > 0.75
        if not sure.any():
            break
        names[np.flatnonzero(unknown)[sure]] = clf.predict(X[unknown])[sure]
    np.testing.assert_array_equal(fitted.transduction_, names)
    clf = trained(X[~unknown], names[~unknown], epochs=6)
    np.testing.assert_array_equal(fitted.predict_proba(X_test), clf.predict_proba(X_test))
    assert fitted.score(X_test, y_test) > 0.8


@pytest.mark.parametrize(
    ("shape", "routing"), spread(SHAPES, ways=(False, True)), indirect=["routing"]
)
def test_a_frozen_network_is_not_trained_again(clothes, routing, shape):
    X, y, weight, X_test, y_test = clothes.seen_as(shape)
    clf = trained(X, y)
    before = clf.predict_proba(X_test)
    frozen = clone(FrozenEstimator(clf)).fit(X, np.roll(y, 1), sample_weight=weight)
    np.testing.assert_array_equal(frozen.predict_proba(X_test), before)
    assert frozen.score(X_test, y_test) > 0.8


@pytest.mark.parametrize("jobs", spread(), indirect=True)
def test_permutation_importance_equals_a_loop_by_hand(clothes, jobs):
    X, y, _, X_test, y_test = clothes.seen_as("flat")
    clf = trained(X, y)
    result = permutation_importance(clf, X_test, y_test, n_repeats=2, random_state=0)
    scores = in_a_job(permuted_scores, clf, X_test, y_test)
    np.testing.assert_array_equal(result.importances, clf.score(X_test, y_test) - scores)
    assert result.importances_mean.max() > 0.01


def permuted_scores(clf, X, y, n_repeats=2):
    seed = np.random.RandomState(0).randint(2**31)
    scores = np.empty((X.shape[1], n_repeats))
    for column in range(X.shape[1]):
        random, order, permuted = np.random.RandomState(seed), np.arange(len(X)), X.copy()
        for repeat in range(n_repeats):
            random.shuffle(order)
            permuted[:, column] = permuted[order, column]
            scores[column, repeat] = clf.score(permuted, y)
    return scores


@pytest.mark.parametrize("jobs", spread(), indirect=True)
def test_sequential_feature_selection_equals_a_loop_by_hand(clothes, jobs):
    X, y = clothes.X[:, ::2, 3], clothes.y  # four pixels of the middle column
    selector = SequentialFeatureSelector(
        network(), n_features_to_select=2, scoring="neg_log_loss", cv=FOLDS
    ).fit(X, y)
    chosen = []
    for _ in range(2):
        others = sorted(set(range(4)) - set(chosen))
        losses = [sum(losses_by_hand(X[:, sorted([*chosen, pixel])], y)) for pixel in others]
        chosen.append(others[np.argmin(losses)])
    assert np.flatnonzero(selector.get_support()).tolist() == sorted(chosen)
    assert min(losses) / 2 < 0.8  # three classes by chance have 1.1
