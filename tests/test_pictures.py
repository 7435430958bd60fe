# SPDX-License-Identifier: BSD-3-Clause
"""PIL images: which are taken as they are, and remedies for others, each of which is followed."""

import re

import numpy as np
import PIL.Image
import pytest

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.images import check_first_images, check_images

HEIGHT, WIDTH = 7, 5
INTEGERS = ["I", "I;16", "I;16B", "I;16L", "I;16N"]
TRANSPARENT = ["LA", "PA", "La", "RGBA", "RGBa"]
OTHERS = ["1", "P", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", *TRANSPARENT]


def pictures(*modes, size=(WIDTH, HEIGHT), n=3):
    return [PIL.Image.new(mode, size) for mode in modes for _ in range(n)]


def as_training(X, image_shape=None):
    return check_first_images(FashionCNNClassifier(), X, image_shape)


def like(X, image_shape):
    """Check pictures for a network that has been trained on arrays of this shape."""
    clf = FashionCNNClassifier()
    check_first_images(clf, np.zeros((3, *image_shape)), None)
    return check_images(clf, X, image_shape)


def remedies(error):
    """Return the expressions that a message names for each image."""
    calls = re.findall(r"(?:pass|, or) ((?:np\.stack\(\[)?image.*?)(?: to have|\.$|\. Tr)", error)
    return [eval(f"lambda image: {call}", {"np": np}) for call in calls]


@pytest.mark.parametrize("mode", [*INTEGERS, "F"])
def test_deep_pixels_are_taken_as_they_are(mode):
    values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 1800
    picture = PIL.Image.new(mode, (WIDTH, HEIGHT))
    for y, x in np.ndindex(HEIGHT, WIDTH):
        picture.putpixel((x, y), int(values[y, x]))
    for pixels, dtype in (as_training([picture] * 3), like([picture] * 3, (HEIGHT, WIDTH, 1))):
        np.testing.assert_array_equal(pixels, np.stack([values[..., None]] * 3))
        assert dtype == {"I": np.int32, "F": np.float32}.get(mode, np.uint16)


def test_16_bits_are_learnt_as_the_plain_array(images, small):
    X, y = images
    deep = X.astype(np.uint16) * 257
    clf = small(epochs=1).fit([PIL.Image.fromarray(x) for x in deep], y)
    np.testing.assert_array_equal(
        clf.predict_proba(deep), small(epochs=1).fit(deep, y).predict_proba(deep)
    )


def test_integers_of_several_modes_are_one_kind():
    pixels, _ = as_training([PIL.Image.new(mode, (WIDTH, HEIGHT), 40_000) for mode in INTEGERS])
    assert (pixels == 40_000).all()


@pytest.mark.parametrize("image_shape", [None, (HEIGHT, WIDTH, 1), (28, 20, 1), (28, 20, 3)])
@pytest.mark.parametrize("modes", [*([mode] for mode in OTHERS), ["L", "RGB"], ["L", "P"]], ids=str)
def test_other_modes_are_converted_as_the_message_says(modes, image_shape):
    X = pictures(*modes)
    with pytest.raises(ValueError, match=f"X has images of mode {', '.join(modes)}; all") as error:
        as_training(X) if image_shape is None else like(X, image_shape)
    calls = remedies(str(error.value))
    assert len(calls) == (1 if image_shape else 2)  # grey, and colour
    for call, channels in zip(calls, [image_shape[2]] if image_shape else [1, 3], strict=True):
        expected = image_shape or (HEIGHT, WIDTH, channels)
        assert like([call(image) for image in X], expected)[0].shape[1:] == expected


@pytest.mark.parametrize("mode", TRANSPARENT)
@pytest.mark.parametrize("image_shape", [None, (HEIGHT, WIDTH, 3)])
def test_transparency_is_spoken_of(mode, image_shape):
    with pytest.raises(ValueError, match=r"colour beneath; PIL\.Image\.alpha_composite puts"):
        as_training(pictures(mode), image_shape)


@pytest.mark.parametrize("modes", [["L", "I;16"], ["RGB", "I"], ["P", "I;16"]], ids=str)
def test_8_bits_among_16_are_brought_to_one_scale(modes):
    shallow, deep = (PIL.Image.new(mode, (WIDTH, HEIGHT)) for mode in modes)
    with pytest.raises(ValueError, match=r"differ in scale, and image\.convert clips") as error:
        as_training([shallow, deep])
    (call,) = re.findall(r"as (np\.asarray.*) is for 8 bits among 16", str(error.value))
    scaled = eval(call, {"np": np, "image": PIL.Image.new("L", (WIDTH, HEIGHT), 255)})
    assert (scaled == 65535).all()
    assert as_training([eval(call, {"np": np, "image": shallow}), deep])[0].shape[3] == 1


@pytest.mark.parametrize("modes", [["F", "I;16"], ["F", "I"], ["F", "L"]], ids=str)
def test_floats_are_not_mixed_with_integers(modes):
    with pytest.raises(ValueError, match=rf"of mode {', '.join(modes)}; .* They differ in scale"):
        as_training(pictures(*modes))


@pytest.mark.parametrize(
    ("mode", "size", "image_shape"),
    [
        ("L", (30, 40), (HEIGHT, WIDTH, 1)),
        ("L", (HEIGHT, WIDTH), (HEIGHT, WIDTH, 1)),  # sides exchanged
        ("RGB", (WIDTH, HEIGHT), (HEIGHT, WIDTH, 1)),
        ("RGB", (30, 40), (HEIGHT, WIDTH, 1)),
        ("RGB", (30, 40), (HEIGHT, WIDTH, 3)),
        ("L", (WIDTH, HEIGHT), (HEIGHT, WIDTH, 3)),
        ("L", (30, 40), (HEIGHT, WIDTH, 3)),
        *((mode, (30, 40), (HEIGHT, WIDTH, 1)) for mode in [*INTEGERS, "F"]),
        *((mode, (30, 40), (HEIGHT, WIDTH, 3)) for mode in [*INTEGERS, "F"]),
    ],
    ids=str,
)
def test_other_sizes_and_channels_are_made_to_fit(mode, size, image_shape):
    X = [PIL.Image.new(mode, size, 200 if mode != "RGB" else (200, 200, 200))] * 3
    message = rf"X has images of mode {mode}, width and height .* {re.escape(str(image_shape))} are"
    for check in (like, as_training):
        with pytest.raises(ValueError, match=message) as error:
            check(X, image_shape)
        (call,) = remedies(str(error.value))
        pixels, dtype = check([call(image) for image in X], image_shape)
        assert pixels.shape == (3, *image_shape)
        assert dtype == np.asarray(X[0]).dtype.newbyteorder("=")
        np.testing.assert_allclose(pixels, 200)


def test_pictures_of_several_sizes():
    X = pictures("L") + pictures("L", size=(9, 9))
    with pytest.raises(ValueError, match=r"width and height \(5, 7\), \(9, 9\), but") as error:
        like(X, (HEIGHT, WIDTH, 1))
    (call,) = remedies(str(error.value))
    assert like([call(image) for image in X], (HEIGHT, WIDTH, 1))[0].shape[0] == 6


def test_a_network_of_other_channels_takes_arrays():
    X = pictures("RGBA")
    with pytest.raises(ValueError, match=r"Pass an array of shape \(n, 7, 5, 4\); np\.stack joins"):
        like(X, (HEIGHT, WIDTH, 4))
    assert like(np.stack(X), (HEIGHT, WIDTH, 4))[0].shape == (3, HEIGHT, WIDTH, 4)
