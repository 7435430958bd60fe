# SPDX-License-Identifier: BSD-3-Clause
"""Ways to copy a classifier, each a function of it and of a folder for files."""

import copy
import pickle

import cloudpickle
import joblib
import skops.io
from joblib.externals.loky.backend.reduction import dumps as loky_dumps

from fashioncnn import FashionCNNClassifier


def _by_joblib(clf, folder, **kwargs):
    mmap_mode = kwargs.pop("mmap_mode", None)
    path = folder / "classifier"
    path.unlink(missing_ok=True)  # an older map keeps its file
    return joblib.load(joblib.dump(clf, path, **kwargs)[0], mmap_mode=mmap_mode)


def _by_model_file(clf, folder):
    clf.save(folder / "model")
    return FashionCNNClassifier.load(folder / "model")


COPIES = {
    **{
        f"pickle {protocol}": lambda clf, _, protocol=protocol: pickle.loads(
            pickle.dumps(clf, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "joblib": _by_joblib,
    "joblib, read-only map": lambda clf, folder: _by_joblib(clf, folder, mmap_mode="r"),
    "joblib, private map": lambda clf, folder: _by_joblib(clf, folder, mmap_mode="c"),
    "joblib, compressed": lambda clf, folder: _by_joblib(clf, folder, compress=3),
    "loky": lambda clf, _: pickle.loads(bytes(loky_dumps(clf))),  # as to a worker of joblib
    "cloudpickle": lambda clf, _: cloudpickle.loads(cloudpickle.dumps(clf)),
    "model file": _by_model_file,
    "skops": lambda clf, _: skops.io.loads(skops.io.dumps(clf), trusted=[FashionCNNClassifier]),
    "copy": lambda clf, _: copy.copy(clf),
    "deepcopy": lambda clf, _: copy.deepcopy(clf),
}
