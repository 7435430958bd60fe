# SPDX-License-Identifier: BSD-3-Clause
"""Images that change from epoch to epoch in training: which, how, and for whom they don't."""

import pickle

import numpy as np
import pytest
from keras.callbacks import Callback
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.nested import parse_augment
from fashioncnn._network.augmentation import Augmentation
from fashioncnn._network.checkpoint import spawn_seeds
from fashioncnn._training import augmentation as room
from fashioncnn._training import loop
from fashioncnn._training.augmentation import Changes, change_images, draw_changes
from fashioncnn._training.feed import ImageFeed

ALL = {"flip": "alternating", "shift": 2, "erase": 0.5}
FLIP, SHIFT = Augmentation(flip="alternating"), Augmentation(shift=2)
SHAPE = (6, 6, 1)


class Batches(Callback):
    """Wants to be called for every batch, so that each is a compiled call."""

    def on_train_batch_end(self, batch, logs=None):
        pass


# --- What happens to an image ---------------------------------------------------------------------


def changed(image, *, mirrored=None, moves=None, erased=None, dtype=np.uint8):
    """Change a grey image; return the result as a list of rows."""
    images = np.array(image, dtype)[np.newaxis, :, :, np.newaxis]
    kinds = (mirrored, moves, erased)
    change_images(images, Changes(*(None if kind is None else np.array([kind]) for kind in kinds)))
    return images[0, :, :, 0].tolist()


IMAGE = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_mirrored_image():
    assert changed(IMAGE, mirrored=True) == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]
    assert changed(IMAGE, mirrored=False) == IMAGE


@pytest.mark.parametrize(
    ("down", "right", "expected"),
    [
        (0, 0, IMAGE),
        (1, 0, [[1, 2, 3], [1, 2, 3], [4, 5, 6]]),
        (-1, 0, [[4, 5, 6], [7, 8, 9], [7, 8, 9]]),
        (0, 1, [[1, 1, 2], [4, 4, 5], [7, 7, 8]]),
        (0, -2, [[3, 3, 3], [6, 6, 6], [9, 9, 9]]),
        (2, -1, [[2, 3, 3], [2, 3, 3], [2, 3, 3]]),
    ],
)
def test_a_moved_image(down, right, expected):
    assert changed(IMAGE, moves=[down, right]) == expected


def test_an_erased_rectangle():
    assert changed(IMAGE, erased=[0, 2, 1, 3]) == [[1, 5, 5], [4, 5, 5], [7, 8, 9]]
    assert changed(IMAGE, erased=[0, 0, 0, 0]) == IMAGE
    assert changed([[0, 1]], erased=[0, 1, 0, 1], dtype=np.float32) == [[0.5, 1]]
    assert changed([[0, 1, 1]], erased=[0, 1, 0, 1]) == [[1, 1, 1]]  # rounded, not cut
    assert changed([[255, 255]], erased=[0, 1, 0, 2]) == [[255, 255]]


def test_a_mean_is_one_of_numbers_that_float32_can_not_add():
    largest = float(np.finfo(np.float32).max)
    image = [[largest] * 4, [largest] * 4]
    assert changed(image, erased=[0, 2, 0, 4], dtype=np.float32) == image


def test_all_at_once_in_this_order():
    mirrored_and_moved = [[3, 3, 2], [6, 6, 5], [9, 9, 8]]
    assert changed(IMAGE, mirrored=True, moves=[0, 1]) == mirrored_and_moved
    erased = changed(IMAGE, mirrored=True, moves=[0, 1], erased=[2, 3, 0, 3])
    assert erased == [*mirrored_and_moved[:2], [6, 6, 6]]  # the mean of 51 / 9


@pytest.mark.parametrize("block_bytes", [1, 500, 2**20])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 4, 1), (6, 1, 2), (1, 1, 1)])
def test_many_images_as_one_by_one(monkeypatch, shape, dtype, block_bytes):
    monkeypatch.setattr(room, "_BLOCK_BYTES", block_bytes)
    images = np.random.default_rng(0).integers(0, 256, (60, *shape)).astype(dtype) / dtype(1)
    images = images.astype(dtype)
    changes = draw_changes(Augmentation("random", 3, 0.5), 60, shape, seed=0, epoch=0)
    result = images.copy()
    change_images(result, changes)
    height, width, _ = shape
    for image, after, is_mirrored, (down, right), rectangle in zip(
        images, result, *changes, strict=True
    ):
        expected = image[:, ::-1] if is_mirrored else image.copy()
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        expected = expected[rows][:, columns]
        top, bottom, left, right = rectangle
        mean = expected.mean(axis=(0, 1), dtype=np.float64)
        expected[top:bottom, left:right] = np.rint(mean) if dtype == np.uint8 else mean
        np.testing.assert_array_equal(after, expected)


def test_means_do_not_depend_on_how_many_images_there_are(monkeypatch):
    images = np.random.default_rng(0).normal(size=(50, 9, 1, 1)).astype(np.float32) ** 9
    erase = draw_changes(Augmentation(erase=1.0), 50, (9, 1, 1), seed=0, epoch=0)
    together, alone = images.copy(), images.copy()
    change_images(together, erase)
    for row in range(50):
        change_images(alone[row : row + 1], erase.of(slice(row, row + 1)))
    assert together.tobytes() == alone.tobytes() != images.tobytes()


# --- What is drawn --------------------------------------------------------------------------------


def draws(augmentation, n_images=1000, shape=SHAPE, seed=0, epochs=4):
    return [draw_changes(augmentation, n_images, shape, seed, epoch) for epoch in range(epochs)]


def test_alternating_images_are_seen_once_each_way_in_two_epochs():
    first, second, third, _ = (changes.mirrored for changes in draws(FLIP))
    assert (first != second).all()
    np.testing.assert_array_equal(first, third)
    assert 0.4 < first.mean() < 0.6
    assert (first != draws(FLIP, seed=1)[0].mirrored).any()


def test_random_flips_and_moves_are_new_in_every_epoch():
    one, other, *_ = draws(Augmentation("random", 2))
    for first, second in (
        (one.mirrored, other.mirrored),
        *zip(one.moves.T, other.moves.T, strict=True),
    ):
        assert 0.1 < (first == second).mean() < 0.6
    assert 0.4 < one.mirrored.mean() < 0.6


def test_moves_of_all_lengths_are_alike_and_down_and_right_are_independent():
    moves = draws(SHIFT, 10_000)[0].moves
    _, counts = np.unique(moves, axis=0, return_counts=True)
    assert len(counts) == 25
    assert counts.min() > 0.7 * 400
    assert (moves.min(), moves.max()) == (-2, 2)


@pytest.mark.parametrize("shift", [3, 9, 10**400])
def test_no_image_moves_further_than_it_can(shift):
    moves = draws(parse_augment({"shift": shift}), shape=(4, 1, 1))[0].moves
    assert (np.unique(moves[:, 0]) == np.arange(-3, 4)).all()
    assert not moves[:, 1].any()


def test_rectangles_have_the_sizes_of_the_paper():
    erased = draws(Augmentation(erase=0.25), 10_000, (100, 100, 1))[0].erased
    chosen = erased[erased.any(axis=1)]
    assert 0.23 < len(chosen) / 10_000 < 0.27
    top, bottom, left, right = chosen.T.astype(float)
    areas, shapes = (bottom - top) * (right - left) / 1e4, (bottom - top) / (right - left)
    assert 0.015 < areas.min() < 0.03 < 0.31 < areas.max() < 0.34
    assert 0.25 < shapes.min() < 0.4 < 3 < shapes.max() < 3.8
    assert (top.min(), left.min()) == (0, 0)
    assert (bottom.max(), right.max()) == (100, 100)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 50, 1), (50, 1, 2), (2, 3, 1)])
def test_every_rectangle_is_within_its_image(shape):
    top, bottom, left, right = draws(Augmentation(erase=1.0), shape=shape)[0].erased.T
    assert (top < bottom).all()
    assert (left < right).all()
    assert bottom.max() <= shape[0]
    assert right.max() <= shape[1]


def test_all_other_chances_have_the_seeds_that_they_had_before():
    seeds = spawn_seeds(0)
    assert (seeds.split, seeds.order, seeds.dropout) == (3757552657, 1806813825, 508308974)
    assert seeds.initial.spawn_key == (1, 0)
    assert seeds.augmentation == 613923335


# --- The parameter --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("flip", FLIP),
        ("shift", SHIFT),
        ("flip_shift", Augmentation("alternating", 2)),
        ({"flip": "alternating"}, FLIP),
        ({"shift": np.int64(2)}, SHIFT),
        ({"flip": "random", "erase": np.float32(0.25)}, Augmentation("random", 0, 0.25)),
        ({"flip": None, "shift": 0, "erase": 0}, None),
        ({"erase": 1}, Augmentation(erase=1.0)),
    ],
    ids=str,
)
def test_names_and_dicts_are_written_out(value, expected):
    assert parse_augment(value) == expected


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("flip", {"flip": "alternating"}),
        ("shift", {"shift": 2}),
        ("flip_shift", {"flip": "alternating", "shift": 2}),
    ],
)
def test_a_name_does_what_its_dict_does(images, small, name, meaning):
    by_name, by_dict = (small(epochs=2, augment=augment) for augment in (name, meaning))
    expected = by_name.fit(*images).predict_proba(images[0])
    np.testing.assert_array_equal(by_dict.fit(*images).predict_proba(images[0]), expected)
    assert (small(epochs=2).fit(*images).predict_proba(images[0]) != expected).any()


# --- Training -------------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch):
    """Give a list of the pixels that steps are given, call by call."""
    calls, take = [], ImageFeed.take

    def noted(feed, rows):
        tensors, positions = take(feed, rows)
        calls.append(tensors[0].numpy()[positions])
        return tensors, positions

    monkeypatch.setattr(ImageFeed, "take", noted)
    return calls


def seen_epochs(seen, n_epochs):
    """Return the images that were seen, by epoch, and forget them."""
    epochs = np.split(np.concatenate(seen), n_epochs)
    seen.clear()
    return epochs


def as_set(images):
    return sorted(image.tobytes() for image in images)


def test_each_image_is_seen_once_each_way(images, small, seen):
    X, y = images
    small(epochs=4, augment="flip").fit(X, y)
    epochs = seen_epochs(seen, 4)
    both = as_set(np.concatenate([X, X[:, :, ::-1]]))
    assert as_set(np.concatenate(epochs[:2])) == as_set(np.concatenate(epochs[2:])) == both
    assert as_set(epochs[0]) == as_set(epochs[2]) != as_set(epochs[1])


def test_pieces_have_random_flips(images, small, seen):
    X, y = images
    clf = small(augment={"flip": "alternating"})
    for _ in range(2):
        clf.partial_fit(X, y, ["left", "right", "up"])
    both = as_set(np.concatenate([X, X[:, :, ::-1]]))
    assert as_set(np.concatenate(seen)) != both
    assert set(as_set(np.concatenate(seen))) <= set(both)
    whole = small(epochs=2, augment={"flip": "random"}).fit(X, y)
    np.testing.assert_array_equal(whole.predict_proba(X), clf.predict_proba(X))


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_division_into_calls_and_size_of_data_change_no_bit(
    images, small, seen, monkeypatch, dtype
):
    X, y = images[0].astype(dtype) / 7 if dtype == np.float64 else images[0], images[1]
    clf = small(epochs=3, augment=ALL)
    expected = clf.fit(X, y).predict_proba(X)
    history, pixels, n_calls = clf.history_, np.concatenate(seen), len(seen)
    for name, value in (
        ("feed._RESIDENT_BYTES", 0),
        ("loop._SECONDS_PER_CALL", 0),
        ("loop._SECONDS_PER_CALL", 9),
    ):
        seen.clear()
        monkeypatch.setattr(f"fashioncnn._training.{name}", value)
        np.testing.assert_array_equal(clf.fit(X, y).predict_proba(X), expected)
        np.testing.assert_array_equal(np.concatenate(seen), pixels)
        assert clf.history_ == history
    assert (pixels[:90] != pixels[90:180]).any()
    assert n_calls < 18


def test_callbacks_change_no_bit(images, small, seen, monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_PER_CALL", 9)
    X, y = images
    clf = small(epochs=2, augment=ALL)
    expected = clf.fit(X, y).predict_proba(X)
    pixels, n_calls = np.concatenate(seen), len(seen)
    seen.clear()
    clf.set_params(callbacks=Batches()).fit(X, y)
    np.testing.assert_array_equal(np.concatenate(seen), pixels)
    assert len(seen) > n_calls
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", "colour", "fortran", "memmap"])
@pytest.mark.parametrize("most", [0, 2**26])
def test_the_callers_images_stay(images, small, tmp_path, monkeypatch, kind, most):
    monkeypatch.setattr("fashioncnn._training.feed._RESIDENT_BYTES", most)
    X, y = images[0].copy(), images[1]
    if kind.startswith("float"):
        X = X.astype(kind)
    elif kind == "colour":
        X = np.stack([X, X // 2, X // 3], axis=-1)
    elif kind == "fortran":
        X = np.asfortranarray(X)
    elif kind == "memmap":
        np.save(tmp_path / "images.npy", X)
        X = np.load(tmp_path / "images.npy", mmap_mode="r+")
    before = X.tobytes()
    clf = small(epochs=2, augment=ALL).fit(X, y)
    assert X.tobytes() == before
    monkeypatch.undo()
    expected = small(epochs=2, augment=ALL).fit(np.array(X, order="C"), y).predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


def test_who_changes_images_in_a_fit_changes_nothing(images, small):
    X, y = images[0].copy(), images[1]
    expected = small(epochs=3, augment=ALL).fit(X, y).predict_proba(images[0])

    class Spoil(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            X[:] = 0

    clf = small(epochs=3, augment=ALL, callbacks=Spoil()).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(images[0]), expected)


def test_the_seed_decides(images, small, seen):
    for seed in (0, 0, 1):
        small(epochs=1, augment=ALL, random_state=seed).fit(*images)
    one, again, other = seen_epochs(seen, 3)
    np.testing.assert_array_equal(one, again)
    assert as_set(one) != as_set(other)


def test_images_keep_their_labels_and_weights(images, small):
    X, y = images
    weights = np.where(y == "up", 0.0, 1.0)
    clf = small(augment={"shift": 1}, batch_size=8).fit(X, y, sample_weight=weights)
    assert set(clf.predict(X)) == {"left", "right"}
    assert clf.score(X[y != "up"], y[y != "up"]) > 0.9


def test_validation_and_prediction_see_images_as_they_are(images, small):
    """Without learning, the held-out loss stays, while that of training changes."""
    X, y = images
    frozen = {"epochs": 3, "learning_rate": 1e-30, "conv_dropout": 0, "dense_dropout": 0}
    frozen |= {"validation_fraction": 0.3}
    plain, augmented = (small(augment=augment, **frozen).fit(X, y) for augment in (None, ALL))
    assert augmented.history_["val_loss"] == plain.history_["val_loss"]
    assert len(set(augmented.history_["loss"])) == 3
    np.testing.assert_array_equal(augmented.predict_proba(X), plain.predict_proba(X))
    given = small(augment=ALL, **frozen | {"validation_fraction": None})
    given.fit(X, y, X_val=X, y_val=y)
    assert len(set(given.history_["val_loss"])) == 1


def test_both_losses_train_the_same(images, small):
    settings = {"epochs": 2, "augment": ALL}
    one = small(**settings).fit(*images)
    other = small(loss="sparse_categorical_crossentropy", **settings).fit(*images)
    np.testing.assert_array_equal(other.predict_proba(images[0]), one.predict_proba(images[0]))


@pytest.mark.parametrize("n_epochs", [1, 3])
def test_a_warm_start_goes_on_as_if_it_had_never_stopped(images, small, n_epochs):
    whole = small(epochs=2 * n_epochs, augment=ALL).fit(*images)
    parts = small(epochs=n_epochs, augment=ALL, warm_start=True).fit(*images).fit(*images)
    assert parts.history_ == whole.history_
    np.testing.assert_array_equal(parts.predict_proba(images[0]), whole.predict_proba(images[0]))


def test_a_warm_start_may_change_it(images, small):
    clf = small(epochs=1, augment="flip", warm_start=True).fit(*images)
    assert clf.set_params(augment={"erase": 0.5}).fit(*images).n_iter_ == 2
    assert clf.set_params(augment=None).fit(*images).n_iter_ == 3


def test_what_does_nothing_changes_no_bit(images, small):
    expected = small(epochs=2).fit(*images).predict_proba(images[0])
    for nothing in ({"flip": None}, {"shift": 0, "erase": 0.0}):
        clf = small(epochs=2, augment=nothing).fit(*images)
        np.testing.assert_array_equal(clf.predict_proba(images[0]), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 3, 3)])
def test_images_of_every_size(small, shape):
    random = np.random.default_rng(0)
    X, y = random.integers(0, 256, (20, *shape), dtype=np.uint8), np.arange(20) % 2
    augment = {"flip": "random", "shift": 10**400, "erase": 1.0}
    assert np.isfinite(small(epochs=2, augment=augment).fit(X, y).predict_proba(X)).all()


# --- The estimator --------------------------------------------------------------------------------


def test_the_model_is_that_of_the_plain_network(images, small):
    clf = small(epochs=1, augment=ALL).fit(*images)
    names = [layer.name for layer in clf.model_.layers]
    assert names == [layer.name for layer in small(epochs=1).fit(*images).model_.layers]
    np.testing.assert_allclose(
        clf.model_.predict(images[0][..., np.newaxis], verbose=0),
        clf.predict_proba(images[0]),
        atol=1e-6,
    )


def test_it_is_cloned_pickled_and_searched(images, small):
    X, y = images
    clf = small(epochs=2, augment=ALL)
    expected = clf.fit(X, y).predict_proba(X)
    for other in (clone(clf), pickle.loads(pickle.dumps(clf))):
        assert other.augment == ALL
        np.testing.assert_array_equal(other.fit(X, y).predict_proba(X), expected)
    assert ALL == {"flip": "alternating", "shift": 2, "erase": 0.5}
    search = GridSearchCV(small(epochs=1), {"augment": [None, "flip_shift", ALL]}, cv=2)
    assert len(search.fit(X, y).cv_results_["params"]) == 3


def test_a_message_names_what_may_be_given():
    with pytest.raises(
        ValueError, match=r"(?s)'flip' \('alternating', 'random' or None\), 'shift'"
    ):
        FashionCNNClassifier(augment={"mirror": True}).fit(None, None)
