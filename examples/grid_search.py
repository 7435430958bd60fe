# SPDX-License-Identifier: BSD-3-Clause
"""Search architectures, losses and learning rates with scikit-learn, in two processes.

python examples/grid_search.py
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # silences TensorFlow's notes on the processor

from sklearn.model_selection import GridSearchCV

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample


def main() -> None:
    """Search on a few hundred images of the packaged sample, and print what was found."""
    X, y = load_fashion_mnist_sample("train", as_names=True)
    search = GridSearchCV(
        FashionCNNClassifier(epochs=5, random_state=0),
        {
            "conv_stacks": [(8,), (16, 32)],
            "loss": ["categorical_crossentropy", "sparse_categorical_crossentropy"],
            "learning_rate": [1e-3, 3e-3],
        },
        cv=3,
        n_jobs=2,
    )
    search.fit(X[:600], y[:600])

    results = search.cv_results_
    for params, mean, deviation in zip(
        results["params"], results["mean_test_score"], results["std_test_score"], strict=True
    ):
        print(f"{mean:.3f} ± {deviation:.3f}  {params}")
    print(f"best: {search.best_params_}")


if __name__ == "__main__":
    main()
