# SPDX-License-Identifier: BSD-3-Clause
"""The estimator: its parameters, and the flow from X and y to a trained network."""

import copy
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from fashioncnn import __version__
from fashioncnn._files.atomic_file import write_atomically
from fashioncnn._files.model_file import write_model
from fashioncnn._files.open_file import open_model_file
from fashioncnn._fitting import Fit
from fashioncnn._inputs.fit_data import (
    PreviousFit,
    TrainingData,
    UserData,
    check_fit_input,
    check_partial_fit_input,
    check_score_input,
)
from fashioncnn._inputs.images import check_images
from fashioncnn._inputs.parameters import (
    PARAMETER_CONSTRAINTS,
    Augment,
    Filters,
    Float,
    Int,
    Precision,
    Rates,
    Sides,
    Sizes,
    Units,
)
from fashioncnn._messages import needed_for
from fashioncnn._network import numpy_forward
from fashioncnn._network.architecture import Activation, GlobalPooling, Padding
from fashioncnn._network.data import ImageShape
from fashioncnn._network.fitted import FittedNetwork, Loss
from fashioncnn._network.optimizers import OptimizerName
from fashioncnn._network.pickled_state import read_state, without_callbacks, write_state
from fashioncnn._network.pixel_range import warn_of_other_range
from fashioncnn._network.probabilities import decision, log_softmax, softmax
from fashioncnn._network.scaling import ScalingKind
from fashioncnn._network.schedules import Schedule
from fashioncnn._scikit_learn import (
    Uncloned,
    requests_of,
    set_requests,
    validate_parameters,
    without_early_stopping,
)
from fashioncnn._tensorflow.start import has_lost_tensorflow, tensorflow_started
from fashioncnn.exceptions import CheckpointFileError
from fashioncnn.recipes import RECIPES, RecipeName


def _refuse_subclass(kind: type, remedy: str) -> None:
    if kind is not FashionCNNClassifier:
        raise TypeError(
            "A model file is data, and holds a FashionCNNClassifier. Got its subclass "
            f"{kind.__name__}, whose own parameters and methods are code. {remedy}"
        )


class FashionCNNClassifier(ClassifierMixin, BaseEstimator):
    """A convolutional network that classifies images.

    The default is a network for Fashion-MNIST [1]_ of 28 x 28 grey pixels: two convolutions, max
    pooling, dropout, a dense layer, dropout, softmax.

    Parameters
    ----------
    conv_stacks : sequence, default=((32, 64),)
        The filters of each convolution, one tuple per stack; an int `n` means `(n,)`. Every stack
        ends in max pooling and dropout. Lists and NumPy arrays pass wherever tuples do.
    dense_units : int or sequence of int, default=(128,)
        The units of each dense layer between the stacks and the output; `()` for none.
    kernel_size : int, (h, w) or tuple of (h, w), default=3
        The windows of the convolutions; a tuple of pairs has one for each stack. A window that is
        larger than the feature map is clipped to it, so every image size builds.
    padding : {"valid", "same"}, default="valid"
        Whether convolutions keep to the image or pad it with zeros.
    activation : str, default="relu"
        The activation of convolutions and dense layers, by its Keras name: one of "celu", "elu",
        "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "mish", "relu", "relu6", "selu",
        "sigmoid", "silu", "softplus", "softsign", "tanh".
    pool_size : int, (h, w) or tuple of (h, w), default=2
        The windows of max pooling, like `kernel_size`.
    batch_normalization : bool, default=False
        Whether to normalise after each convolution, which then has no bias. In each stack pooling
        comes before the last normalisation and activation. Moving means and variances are corrected
        for their bias [7]_, so that a network predicts as it trained, after few steps too.
    residual : bool, default=False
        Whether to add shortcuts [13]_. After the first convolution of a stack, every two form a
        block, and a single one that is left over forms one, too. If the input and the output of a
        block have the same number of channels, they are added, before the activation; at the end
        of a stack, both are pooled first. It needs ``padding="same"``.
    global_pooling : {"avg", "max"} or None, default=None
        How to reduce the last feature maps to one value per channel; None flattens them.
    conv_dropout : float or sequence of float, default=0.25
        The share of values dropped after each stack, one for all or one per stack, in [0, 1). It
        is rounded to a multiple of 1/65,536; at least one value in 65,536 remains on average.
    dense_dropout : float, default=0.2
        The share of values dropped after each dense layer, in [0, 1), rounded like `conv_dropout`.
    loss : {"categorical_crossentropy", "sparse_categorical_crossentropy"}, \
            default="categorical_crossentropy"
        Both train the same network to the same result. It decides which labels `model_` expects
        in `evaluate`: one-hot rows or integers.
    label_smoothing : float, default=0.0
        The share of each label that is spread over all classes, in [0, 1) [2]_.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes by label; a class that is not named has weight 1. "balanced" weighs
        each inversely to its frequency in y. They multiply `sample_weight`, and count in the loss
        of the validation part too, where Keras' `class_weight` does not.
    optimizer : {"adam", "adamw", "muon", "rmsprop", "sgd"}, default="adam"
        The update rule, with Keras' default settings; "sgd" has Nesterov momentum 0.9. "adamw" is
        "adam", under the name that Keras users look for. "muon" takes Muon's step for convolutions
        [10]_, and for all other weights that of Adam at a tenth of the rate. It learns most in
        few epochs, with `batch_normalization`. Keras' Muon, in `model_`, leaves convolutions to
        Adam, too.
    learning_rate : float or None, default=None
        The step size, with a schedule its peak; None takes 0.01 for "muon" and "sgd" and
        0.001 for the others. With "muon" and batch normalisation 0.1 to 0.2 is usual.
    learning_rate_schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        How the step size changes from step to step over all planned epochs. "cosine" falls towards
        zero along half a cosine [3]_. "one_cycle" rises from a 25th of `learning_rate` in the first
        30 % of the steps and falls to nearly zero in the rest [4]_.
    weight_decay : float, default=0.0
        The share of each kernel, times the step size, that every step takes away; decoupled from
        the gradient [5]_ with each optimizer. Biases and normalisation do not decay.
    epochs : int, default=12
        How many times training passes over the data, at most with `early_stopping`; more where
        `min_steps` needs more.
    batch_size : int, default=128
        The number of images per step; clipped to the number of images. What is left at the end of
        an epoch is a smaller batch. With batch normalisation, at most an eighth of a batch is
        joined to the batch before it.
    augment : {"flip", "shift", "flip_shift"}, dict or None, default=None
        How images change from epoch to epoch, in training only. "flip" mirrors them left to right,
        each in every other epoch [8]_. Leave it out where a mirror image means something else, as
        with digits and letters. "shift" moves each image by up to 2 pixels up or down and to the
        left or right, and repeats the edge; "flip_shift" does both. A dict says more, each key as
        you need it: "flip" ("alternating", or "random" for a new choice in every epoch), "shift"
        (an int, the most pixels) and "erase" (a share of images, in [0, 1], in which a random
        rectangle becomes the image's mean colour [9]_), as in
        `{"flip": "random", "shift": 1, "erase": 0.25}`. In `partial_fit`, whose images may be
        others in each call, "alternating" is "random".
    early_stopping : bool, default=False
        Whether to stop when the loss of the held-out part improves no more, and to restore the
        weights of the best epoch.
    validation_fraction : float or None, default=None
        The share of training data to hold out, in (0, 1): stratified and shuffled, at least one
        row of each class that has two, and at most half of all rows. None holds out 0.1 with
        `early_stopping`, else nothing.
    n_iter_no_change : int, default=5
        The number of epochs without improvement after which early stopping ends training.
    tol : float, default=1e-4
        By how much the validation loss must fall below the best so far to be an improvement for
        early stopping.
    image_shape : (h, w), (h, w, c) or None, default=None
        How to see a flat row of X. None takes a square grey image where the length is a perfect
        square, else a strip one pixel high, with a warning where that looks like a mistake.
    scaling : {"standardize", "unit"} or None, default="standardize"
        "standardize" subtracts each channel's mean and divides by its standard deviation in the
        training part. "unit" divides uint8 by 255 and uint16 by 65535, other integers by one of
        these if the training values lie within, and leaves floats as they are. None takes all
        values as they are. Scaling is part of the network: pass raw pixels, always on one scale.
    precision : {"float32", "bfloat16", "auto"}, default="float32"
        The arithmetic of training. "bfloat16" computes feature maps and the products of dense
        layers but the last with 8 significant bits, as in mixed precision [6]_: weights, their
        updates, the statistics of batch normalisation and the loss stay float32, and so does
        prediction. "auto" takes bfloat16 where the hardware computes in it, so that it is faster: a
        processor with AVX512_BF16 or AMX under Linux, or a GPU of compute capability 8.0 or higher,
        and else float32.
    test_time_flip : bool, default=False
        Whether predictions, validation in training among them, average the logits of an image and
        of its mirror image, left to right [11]_. It takes them twice the time, and changes no step
        of training. It is for networks that were trained on mirror images; it may cost much
        accuracy where they were not, or where a mirror image means something else, as with digits.
    weight_averaging : float, default=0.0
        The share of the planned steps, in [0, 1), over which weights are averaged [12]_: the fitted
        weights are the mean of those after each of the last steps, moving means and variances
        included; at least the last step counts. From the first of these steps on, the average is
        what is validated, noted as best and exported. Until then the weights are, as they train.
        Training, also with `warm_start` and `partial_fit`, goes on from the raw weights, which
        callbacks see as well; where `warm_start` is False, a fit does not keep them, and
        `partial_fit` goes on from the average. It is of use where the learning rate is still high
        at the end, as with a constant one; a step takes a few per cent longer. `partial_fit` itself
        does not average.
    min_steps : int, default=0
        Passes over the data are repeated until there are at least so many steps: training plans
        `epochs`, or more where the images are few. Schedule and `weight_averaging` span all
        passes; `n_iter_`, `history_` and early stopping count them. So settings for many images
        train on few, too. `partial_fit` is one pass always.
    checkpoint : str, PathLike or None, default=None
        A file from which `fit` goes on where it was cut off, to the same bits. `fit` writes to it
        after epochs, every few seconds at most and in 1 % of its time; after the end, the same
        `fit` returns the result at once. The same means: data, parameters (but `callbacks` and
        `verbose`), `precision_` and versions; what differs is named in an error. It needs an int as
        `random_state`, and goes on to the same bits with callbacks that remember nothing. One file
        is for one fit: a search or cross-validation, where each fit would need its own, wants None.
        `partial_fit` ignores it, and `save` writes None.
    callbacks : keras.callbacks.Callback, list of them or None, default=None
        Keras callbacks, for each `fit` and `partial_fit`. They see a compiled Keras model that
        belongs to that call, of raw pixels and of probabilities like `model_`. What they do to its
        weights and, with a constant schedule, to its learning rate holds, and `stop_training` ends
        training. Epochs count from 0, as in Keras. Each fit calls copies, `callbacks_`, which have
        their own containers, arrays and random generators and share all other objects: a study, a
        logger, a file. `clone` passes callbacks on as they are.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the fit before, for `epochs` more with the
        schedule restarted. Scaling stays; so do the validation part, if y is the same, and the
        optimizer's moments. With `weight_averaging`, each fit averages over its own steps. Classes,
        image shape and architecture must be the same, but for dropout rates.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, the order of images, augmentation, dropout and the validation part.
        An int gives the same result in every run with the same number of threads. Continued
        training goes on with the random numbers of the first fit.
    verbose : {0, 1, 2}, default=0
        0 is silent, 1 shows a progress bar for each epoch, 2 a line. Where stdout takes no text
        any more, as a pipe without a reader, a warning says so and training goes on. What
        TensorFlow writes to stderr when it is imported is its own.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        The number of values in an image, h * w * c.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the columns, where X had names that are all strings.
    image_shape_ : tuple (h, w, c)
        The shape of an image.
    history_ : dict of lists of float
        One value per epoch: "loss" (mean of weight times loss over the training part, each batch
        before its step), "accuracy" (the share of images classified right, unweighted),
        "learning_rate" (of the last step), and with a validation part "val_loss", weighted like
        "loss", and "val_accuracy", which are NaN for epochs of continued training that had none.
    n_iter_ : int
        The number of epochs, with those of earlier fits that were continued.
    best_epoch_ : int
        The epoch, counted from 1, whose weights the classifier has: the last, or with early
        stopping the best. It does not know of weights that callbacks restore.
    precision_ : {"float32", "bfloat16"}
        The arithmetic in which the last fit trained.
    callbacks_ : list of keras.callbacks.Callback
        Where `callbacks` is not None, the copies that were called, without their model. They are
        left out of copies and pickles.
    model_ : keras.Model
        The network as a compiled Functional model of stock layers, from raw pixels to
        probabilities, for `summary`, `evaluate`, `save` and export. It is a copy: changing it does
        not change predictions. With `test_time_flip` it averages, too, by `keras.ops.flip` and an
        Average layer.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : Dense layers only.

    References
    ----------
    .. [1] H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for
       benchmarking machine learning algorithms", arXiv:1708.07747, 2017.
    .. [2] C. Szegedy et al., "Rethinking the Inception architecture for computer vision",
       arXiv:1512.00567, 2015, section 7.
    .. [3] I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
       arXiv:1608.03983, 2016, equation 5.
    .. [4] L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks
       using large learning rates", arXiv:1708.07120, 2017.
    .. [5] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", arXiv:1711.05101,
       2017.
    .. [6] D. Kalamkar et al., "A study of BFLOAT16 for deep learning training", arXiv:1905.12322,
       2019.
    .. [7] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980,
       2014, section 3.
    .. [8] K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, 2024,
       section 3.6.
    .. [9] Z. Zhong et al., "Random erasing data augmentation", arXiv:1708.04896, 2017.
    .. [10] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
       https://kellerjordan.github.io/posts/muon, 2024.
    .. [11] K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image
       recognition", arXiv:1409.1556, 2014, section 3.2, where probabilities are averaged.
    .. [12] P. Izmailov et al., "Averaging weights leads to wider optima and better generalization",
       arXiv:1803.05407, 2018; here after every step, as in B. T. Polyak and A. B. Juditsky,
       "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
       Optimization 30(4), 1992.
    .. [13] K. He et al., "Deep residual learning for image recognition", arXiv:1512.03385, 2015.

    Examples
    --------
    >>> from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample
    >>> X, y = load_fashion_mnist_sample("train")
    >>> X_test, y_test = load_fashion_mnist_sample("test")
    >>> clf = FashionCNNClassifier(((16,), (32,)), epochs=3, random_state=0).fit(X, y)
    >>> round(clf.score(X_test, y_test), 1)
    0.8
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = PARAMETER_CONSTRAINTS

    classes_: NDArray[Any]
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    callbacks_: list[Any]
    image_shape_: ImageShape
    history_: dict[str, list[float]]
    n_iter_: int
    best_epoch_: int
    precision_: Literal["bfloat16", "float32"]
    _network: FittedNetwork

    def __init__(
        self,
        conv_stacks: Filters = ((32, 64),),
        dense_units: Units = (128,),
        *,
        kernel_size: Sizes = 3,
        padding: Padding = "valid",
        activation: Activation = "relu",
        pool_size: Sizes = 2,
        batch_normalization: bool = False,
        residual: bool = False,
        global_pooling: GlobalPooling | None = None,
        conv_dropout: Rates = 0.25,
        dense_dropout: Float = 0.2,
        loss: Loss = "categorical_crossentropy",
        label_smoothing: Float = 0.0,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        optimizer: OptimizerName = "adam",
        learning_rate: Float | None = None,
        learning_rate_schedule: Schedule = "constant",
        weight_decay: Float = 0.0,
        epochs: Int = 12,
        batch_size: Int = 128,
        augment: Augment | None = None,
        early_stopping: bool = False,
        validation_fraction: Float | None = None,
        n_iter_no_change: Int = 5,
        tol: Float = 1e-4,
        image_shape: Sides | None = None,
        scaling: ScalingKind | None = "standardize",
        precision: Precision = "float32",
        test_time_flip: bool = False,
        weight_averaging: Float = 0.0,
        min_steps: Int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        callbacks: Any = None,  # a Keras callback or a list of them; Keras has no types
        warm_start: bool = False,
        random_state: Int | np.random.RandomState | None = None,
        verbose: Int = 0,
    ) -> None:
        self.conv_stacks = conv_stacks
        self.dense_units = dense_units
        self.kernel_size = kernel_size
        self.padding = padding
        self.activation = activation
        self.pool_size = pool_size
        self.batch_normalization = batch_normalization
        self.residual = residual
        self.global_pooling = global_pooling
        self.conv_dropout = conv_dropout
        self.dense_dropout = dense_dropout
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.augment = augment
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.image_shape = image_shape
        self.scaling = scaling
        self.precision = precision
        self.test_time_flip = test_time_flip
        self.weight_averaging = weight_averaging
        self.min_steps = min_steps
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_recipe(cls, name: RecipeName, **overrides: Any) -> Self:
        """Return an unfitted classifier with the settings of a recipe.

        Parameters
        ----------
        name : {"article", "fast", "balanced", "accurate", "tiny"}
            "article" is modelled on an article that reports 91.66 % test accuracy on Fashion-MNIST:
            the default network, pixels divided by 255, 30 % of the data held out for validation
            (shuffled and stratified), Adam, batches of 128, 12 epochs.

            "fast" is for a good network in seconds: three convolutions of 16, 32 and 64 filters
            with batch normalisation, Muon, and mirror images in training and prediction; 98,778
            parameters on 28 x 28 grey pixels. On Fashion-MNIST it reaches 92.5 % test accuracy in 9
            seconds, and 93.4 % in 25 with ``epochs=10`` (five seeds: means of accuracies, medians
            of times; two cores of an EPYC with bfloat16, tracing included; the article's code in
            plain Keras reaches 91.9 % in 229 seconds).

            "balanced" is for the most accuracy in two minutes: three convolutions in each stack,
            with shortcuts; 196,442 parameters. It reaches 94.4 % in 120 seconds (five seeds).

            "accurate" is for the most accuracy in an hour: thirteen convolutions of 32, 64 and 128
            filters, with shortcuts, and half of the images lose a rectangle in each epoch; 724,010
            parameters. It reaches 95.25 % in 63 minutes (two seeds).

            "tiny" is for a small network, of 89,210 parameters: ten convolutions of 16, 32 and 48
            filters, and images as in "accurate". It reaches 94.9 % in 18 minutes (five seeds).

            All but "article" take a least number of steps, so they suit few images, too; for more,
            set a higher `min_steps`. Where a mirror image means something else, as with digits and
            letters, add ``augment=None, test_time_flip=False`` ("accurate" and "tiny":
            ``augment={"erase": 0.5}``). Label smoothing keeps their probabilities away from 0 and
            1. `partial_fit`, whose rate is constant, wants ``learning_rate=0.01``.
        **overrides
            Parameters of the class that take the place of the recipe's. With `epochs` but no
            `min_steps`, that is 0, so that there are just so many epochs.

        Returns
        -------
        classifier : FashionCNNClassifier
            With every parameter explicit, so that `get_params` and `clone` see plain values.

        Raises
        ------
        ValueError
            If there is no such recipe, or no such parameter.

        Examples
        --------
        >>> from fashioncnn import FashionCNNClassifier
        >>> FashionCNNClassifier.from_recipe("article", epochs=3).validation_fraction
        0.3
        >>> FashionCNNClassifier.from_recipe("fast", epochs=10).optimizer
        'muon'
        """
        if name not in list(RECIPES):  # a list, unlike a dict, takes names that have no hash
            raise ValueError(f"Unknown recipe {name!r}. The recipes are {sorted(RECIPES)}.")
        settings = {**copy.deepcopy(RECIPES[name]), **overrides}  # some are dicts, which may change
        if "epochs" in overrides and "min_steps" not in overrides:
            settings["min_steps"] = 0  # which would make more epochs of few images
        classifier = cls()
        classifier.set_params(**settings)
        return classifier

    @validate_parameters
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train a network on images and their labels, a new one unless `warm_start` is True.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            The images, with raw pixels of any numeric dtype; uint8 takes the least memory.
        y : array-like of shape (n,)
            The labels: numbers, strings or dates.
        sample_weight : array-like of shape (n,), default=None
            The weight of each image's loss; None is 1 for all. Together with class weights they are
            scaled to mean 1 over the training part. Batch normalisation counts all images alike,
            as in Keras.
        X_val : array-like of the same shape as X but for n, default=None
            Images to validate on after each epoch, in place of a held-out part.
        y_val : array-like of shape (n_val,), default=None
            Their labels, all of which occur in y.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.

        Returns
        -------
        self : FashionCNNClassifier
            The fitted classifier.

        Raises
        ------
        InvalidParameterError
            If a parameter of the class is out of its range. It is a ValueError and a TypeError.
        TypeError, ValueError
            If X is no array of images, y no classification target with at least two classes, or
            weights are no finite numbers of at least 0; with `warm_start`, if classes, image shape
            or architecture are not those of the fit before. Nothing is changed then.
        ValueError
            If training diverges, or a callback sets a learning rate that a schedule decides.
            Nothing is changed then, either.
        fashioncnn.exceptions.CheckpointFileError
            If the file of `checkpoint` is of another fit, or no checkpoint. It is a ValueError. If
            that comes up after an epoch, the classifier is fitted as after an interrupt.
        OSError
            If the file of `checkpoint` can't be written at the beginning. Later that is a warning.
        KeyboardInterrupt
            If the user interrupts. The classifier is fitted as by the epochs that were complete,
            and `history_` and `n_iter_` tell of them; before the first it is unchanged.
        RuntimeError
            If this process was forked from one in which TensorFlow ran.

        Warns
        -----
        PixelRangeWarning
            If `X_val`, or with `warm_start` X, is on a scale that training never saw, as `predict`
            says; or if `scaling` is "unit" and X has floats above 2, which are probably not scaled.

        Notes
        -----
        A callback that calls methods of this classifier sees it as it was before.
        """
        checked = copy.copy(self)  # scikit-learn's checks set attributes; self changes at the end
        previous = self._network if self.warm_start and self.__sklearn_is_fitted__() else None
        data = check_fit_input(
            checked,
            UserData(X, y, sample_weight),
            UserData(X_val, y_val, sample_weight_val),
            self._previous_fit(previous),
        )
        return self._train(checked, data, previous)

    @without_early_stopping
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train on images once, going on from all training before.

        For data that come in pieces. Each call is one pass in steps of `batch_size` at a constant
        learning rate; nothing is held out or averaged. The first call fixes the scaling by its
        images, so it should see typical ones, and warns if a channel has one value only. It goes on
        from `fit`, too, or from nothing.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            The images.
        y : array-like of shape (n,)
            Their labels, of any number of classes.
        classes : array-like of shape (n_classes,), default=None
            All labels that will occur. Needed in the first call, and the same in others.
        sample_weight : array-like of shape (n,), default=None
            The weight of each image's loss, times its class's weight in `class_weight`. They are
            taken as they are, since their mean over all calls is not known.

        Returns
        -------
        self : FashionCNNClassifier
            The fitted classifier.

        Raises
        ------
        AttributeError
            If `early_stopping` is True, which needs all data at once.
        InvalidParameterError
            If a parameter of the class is out of its range. It is a ValueError and a TypeError.
        TypeError, ValueError
            As from `fit`; also if a label is not among the classes, an image has another shape than
            before, `class_weight` is "balanced", or parameters ask for another network than the one
            that has been trained. Nothing is changed then.
        RuntimeError
            If this process was forked from one in which TensorFlow ran.

        Warns
        -----
        PixelRangeWarning
            As from `fit`, if X is on another scale than in the calls before, or not scaled.
        UserWarning
            If the first call can't tell a scaling by its images.

        Examples
        --------
        >>> from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample
        >>> X, y = load_fashion_mnist_sample("train")
        >>> clf = FashionCNNClassifier((16,), random_state=0)
        >>> for start in range(0, 3000, 1000):
        ...     piece = slice(start, start + 1000)
        ...     clf = clf.partial_fit(X[piece], y[piece], classes=range(10))
        >>> clf.n_iter_
        3
        """
        if not get_config()["skip_parameter_validation"]:
            self._validate_params()  # in every call, where _fit_context would in the first only
        checked = copy.copy(self)
        previous = self._network if self.__sklearn_is_fitted__() else None
        training = UserData(X, y, sample_weight)
        data = check_partial_fit_input(checked, training, classes, self._previous_fit(previous))
        return self._train(checked, data, previous, is_partial=True)

    def _previous_fit(self, previous: FittedNetwork | None) -> PreviousFit | None:
        if previous is None:
            return None
        return PreviousFit(previous.architecture.image_shape, self.classes_, previous.pixel_range)

    def _train(
        self,
        checked: Self,
        data: TrainingData,
        previous: FittedNetwork | None,
        *,
        is_partial: bool = False,
    ) -> Self:
        """Train on checked data, and set the fitted attributes.

        They are set if training ends, or if after an epoch the user interrupts it, or the file of
        its checkpoint has become another's.
        """
        fit = Fit(self, data, previous, is_partial=is_partial)
        try:
            fit.run()
            self._assign(checked, fit)
        except (CheckpointFileError, KeyboardInterrupt):
            if fit.result is not None:
                self._assign(checked, fit)
            raise
        return self

    def _assign(self, checked: Self, fit: Fit) -> None:
        """Set the fitted attributes, all at once."""
        attributes = {
            name: value
            for name, value in vars(self).items()
            if name not in ("feature_names_in_", "callbacks_")
        }
        if hasattr(checked, "feature_names_in_"):
            attributes["feature_names_in_"] = checked.feature_names_in_
        if self.callbacks is not None:
            attributes["callbacks_"] = fit.callbacks
        attributes |= fit.attributes()
        self.__dict__ = attributes  # in one step, which nothing can interrupt

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the label of each image.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            The images, on the same scale as in training.

        Returns
        -------
        labels : ndarray of shape (n,)
            The most probable class of each; of equally probable ones the first in `classes_`.

        Raises
        ------
        NotFittedError
            If the classifier has not been fitted.
        TypeError, ValueError
            If X is no array of images of shape `image_shape_`.

        Warns
        -----
        PixelRangeWarning
            If the pixels are on a scale that training never saw: at least 1 % of the values lie
            beyond those of training by more than their whole width; or all images that are not
            blank are darker than any in training and of less than a tenth of its width, or lack its
            low values by a third of the width. Integers of the dtype of training are always on its
            scale, unless training reached no further than 1. No selection of the training images
            warns.
        """
        return self._most_probable(self._logits(X))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict the probability of each class for each image.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            The images, as for `predict`, which also says what is raised.

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes), float32
            In the order of `classes_`; each row sums to 1.
        """
        return softmax(self._logits(X))

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict the logarithm of the probability of each class for each image.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            The images, as for `predict`, which also says what is raised.

        Returns
        -------
        log_probabilities : ndarray of shape (n, n_classes), float32
            Computed from the logits, so that it is finite where a probability rounds to 0.
        """
        return log_softmax(self._logits(X)).astype(np.float32)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the logits, of which `predict_proba` is the softmax.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            The images, as for `predict`, which also says what is raised.

        Returns
        -------
        decision : ndarray of shape (n, n_classes), or (n,) for two classes, float32
            For two classes the second logit less the first.
        """
        return decision(self._logits(X))

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy: the share of images that are classified right.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            The images, as for `predict`, which also says what is raised.
        y : array-like of shape (n,)
            Their labels.
        sample_weight : array-like of shape (n,), default=None
            How much each image counts; None is 1 for all.

        Returns
        -------
        accuracy : float
            The sum of the weights of the images whose label is predicted, over that of all.

        Raises
        ------
        TypeError, ValueError
            Also if y is no array of labels, or weights are no finite numbers of at least 0.
        """
        pixels = self._checked(X)
        labels, weights = check_score_input(y, sample_weight, self.classes_, pixels)
        predicted = self._most_probable(self._predict_logits(pixels))
        return float(accuracy_score(labels, predicted, sample_weight=weights))

    def _checked(self, X: Any) -> NDArray[Any]:
        """Make X images, once: that may take memory, compute what is lazy, and warn."""
        check_is_fitted(self)
        pixels, source_dtype = check_images(self, X, self.image_shape_)
        warn_of_other_range(pixels, source_dtype, self._network.pixel_range)
        return pixels

    def _logits(self, X: Any) -> NDArray[np.float32]:
        return self._predict_logits(self._checked(X))

    def _predict_logits(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        # What else has happened in this process has no say, unless it was forked from one where
        # TensorFlow ran: equal calls give equal bits.
        network = self._network
        most = numpy_forward.most_images(
            network.architecture, test_time_flip=network.test_time_flip
        )
        if len(pixels) <= most or has_lost_tensorflow():
            logits = numpy_forward.predict_logits(network, pixels)
        else:
            with tensorflow_started():
                from fashioncnn._tensorflow import prediction

                logits = prediction.predict_logits(network, pixels)
        network.refuse_non_finite(logits, pixels)
        return logits

    def _most_probable(self, logits: NDArray[np.float32]) -> NDArray[Any]:
        # By the probabilities, in which several may be equal where logits are not.
        return self.classes_[softmax(logits).argmax(axis=1)]

    @property
    def model_(self) -> Any:
        """The network as a compiled keras.Model, built when it is first asked for."""
        check_is_fitted(self)
        with tensorflow_started():
            from fashioncnn._tensorflow.keras_model import keras_model_for

            return keras_model_for(self._network)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted classifier to one file, which is data only.

        The file is in the safetensors layout and has parameters, weights, and what continued
        training needs. It is written beside its place and then put there, so that there is always
        the old file or the new one.

        Parameters
        ----------
        path : str or PathLike
            The file. Its name may end in anything; ".safetensors" tells others what it is.

        Raises
        ------
        NotFittedError
            If the classifier has not been fitted.
        TypeError, ValueError
            If a parameter is no plain value (callbacks, a RandomState) or out of its range, an
            attribute is not the class's, or the class is a subclass; if a text is no Unicode, or
            the header would be larger than a mebibyte. Nothing is written then.
        OSError
            If the file can't be written, as on a full disk. The file before stays.

        See Also
        --------
        load : Read the file.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample
        >>> X, y = load_fashion_mnist_sample("test")
        >>> clf = FashionCNNClassifier((8,), epochs=1, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     clf.save(Path(folder, "model.safetensors"))
        ...     same = FashionCNNClassifier.load(Path(folder, "model.safetensors"))
        >>> bool((same.predict_proba(X) == clf.predict_proba(X)).all())
        True
        """
        _refuse_subclass(type(self), "Pickle it, or fit a FashionCNNClassifier.")
        check_is_fitted(self)
        self._validate_params()
        params = self.get_params(deep=False)
        write_atomically(path, [write_model(params, requests_of(self), vars(self))])

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        expected_sha256: str | None = None,
        max_bytes: int = 2**32,
    ) -> Self:
        """Read a classifier from a file that `save` has written.

        Nothing in the file is executed. All that it says is checked before its arrays are read, and
        a changed bit is found. It predicts the same bits as the classifier that was saved, on the
        same kind of processor with the same versions, and trains on from there. TensorFlow is not
        imported.

        Parameters
        ----------
        path : str or PathLike
            The file.
        expected_sha256 : str, default=None
            The SHA-256 of the file, in 64 hexadecimal digits, as `sha256sum` prints it. Pass it if
            you have it from somebody whom you trust: the file's own digest finds damage, but who
            changes a file can write a new one.
        max_bytes : int, default=2**32
            The size of file above which it is refused.

        Returns
        -------
        classifier : FashionCNNClassifier
            A fitted classifier.

        Raises
        ------
        fashioncnn.exceptions.ModelFileError
            If the file can't be read, is not what `save` writes, or of a newer version. It is a
            ValueError.
        TypeError, ValueError
            If an argument is not what it should be, or the class is a subclass.
        FileNotFoundError
            If there is no such file.

        See Also
        --------
        save : Write the file.
        """
        _refuse_subclass(cls, "Call FashionCNNClassifier.load.")
        with open_model_file(path, expected_sha256, max_bytes) as file:
            classifier = cls(**file.read_params(cls().get_params().keys()))
            file.check("params", classifier._validate_params)
            file.check("metadata_requests", set_requests, classifier, file.metadata_requests)
            fitted = file.read_fitted()
        classifier.__dict__ |= fitted
        return classifier

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file of ONNX, which other programs predict by.

        The file takes raw pixels, as the input "image" of shape (batch, h, w, c): uint8 where the
        classifier was trained on uint8, else float32. It gives "label", of shape (batch,), and
        "probabilities", float32 of shape (batch, n_classes). Labels are texts or int64; those that
        are no texts, integers or bools, such as dates and floats, are indices of the class names.
        Scaling is inside, and with `test_time_flip` the mirror image. The metadata have the class
        names, the image shape, the range of pixels in training and the version of this library.

        Parameters
        ----------
        path : str or PathLike
            The file. It is written beside its place and then put there, so that there is always the
            old file or the new one.

        Raises
        ------
        NotFittedError
            If the classifier has not been fitted.
        ImportError
            If the package onnx is not installed: ``pip install 'fashioncnn[onnx]'``.
        TypeError, ValueError
            If `path` can't be the name of a file, weights are not finite or of 2 GiB and more, or a
            label is no Unicode. Nothing is written then.
        OSError
            If the file can't be written, as on a full disk. The file before stays.

        See Also
        --------
        save : Write all of the classifier, to load it again.

        Notes
        -----
        The operators are those of version 17 of ONNX. What the file does not do is to warn of
        pixels on another scale, and to refuse outputs that are not finite.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import onnxruntime
        >>> from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample
        >>> X, y = load_fashion_mnist_sample("test", as_names=True)
        >>> clf = FashionCNNClassifier((8,), epochs=1, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     clf.export_onnx(Path(folder, "model.onnx"))
        ...     session = onnxruntime.InferenceSession(Path(folder, "model.onnx"))
        >>> label, probabilities = session.run(None, {"image": X[:10, ..., None]})
        >>> bool((label == clf.predict(X[:10])).all())
        True
        """
        check_is_fitted(self)
        with needed_for("export_onnx", "onnx", extra="onnx"):
            from fashioncnn._files.onnx_model import write_onnx
        write_atomically(path, [write_onnx(self._network, self.classes_, __version__)])

    def __getstate__(self) -> dict[str, Any]:
        """Return parameters, plain values and arrays; no class of this package is in it."""
        return write_state(super().__getstate__(), __version__)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take over what `__getstate__` has returned; that of another version warns."""
        name, defaults = type(self).__name__, FashionCNNClassifier().get_params
        super().__setstate__(read_state(state, __version__, name, defaults))

    def __copy__(self) -> Self:
        """Return a classifier that shares what is fitted, without the way through a pickle."""
        copied = type(self).__new__(type(self))
        copied.__dict__ = without_callbacks(vars(self))
        return copied

    def __sklearn_clone__(self) -> Self:
        """Clone all but callbacks, which fits copy by rules of their own, and pass these on."""
        params = self.get_params(deep=False)
        if params.get("callbacks") is None:  # there are none, or a subclass decides them
            return cast(Self, super().__sklearn_clone__())
        unchanged = copy.copy(self)
        unchanged.callbacks = Uncloned(self.callbacks)
        # That of scikit-learn, on the copy.
        cloned = cast(Self, super(FashionCNNClassifier, unchanged).__sklearn_clone__())
        cloned.callbacks = self.callbacks
        return cloned

    def __dir__(self) -> list[str]:
        """Leave out `model_`: scikit-learn's notebook repr evaluates all that is listed here."""
        names = (name for name in object.__dir__(self) if name != "model_")
        return [name for name in names if hasattr(self, name)]

    def __sklearn_is_fitted__(self) -> bool:
        """Say whether a fit has ended well."""
        return hasattr(self, "_network")

    def __sklearn_tags__(self) -> Tags:
        """Say that images may have two or three dimensions."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
