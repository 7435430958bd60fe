# SPDX-License-Identifier: BSD-3-Clause
"""A server of one model as a WSGI application, for gunicorn.

The file of the model, which `save` has written, is named by the environment variable MODEL.

    cd examples/serve
    MODEL=model.safetensors gunicorn --preload --workers 2 wsgi_app:app

A request has the pixels of one picture as bytes, or a list of pictures as JSON:

    curl --data-binary @picture.raw -H "Content-Type: application/octet-stream" localhost:8000
    curl --data "[[[0, 255], [255, 0]]]" -H "Content-Type: application/json" localhost:8000
"""

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from fashioncnn import FashionCNNClassifier

# With --preload once, before the workers are forked.
clf = FashionCNNClassifier.load(os.environ["MODEL"])
clf.predict(np.zeros((1, *clf.image_shape_), np.uint8))  # makes ready what workers share


def answer(images: Any) -> list[dict[str, Any]]:
    """Give each picture's label and the probability of it."""
    probabilities = clf.predict_proba(images)
    labels = clf.classes_[probabilities.argmax(axis=1)]
    highest = probabilities.max(axis=1)
    return [
        {"label": label, "probability": probability}
        for label, probability in zip(labels.tolist(), highest.tolist(), strict=True)
    ]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a request; what can't be predicted is answered 422, with the reason."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        if environ.get("CONTENT_TYPE", "").startswith("application/json"):
            images = json.loads(body)
        else:
            images = np.frombuffer(body, np.uint8)[np.newaxis]  # one row of pixels
        status, result = "200 OK", answer(images)
    except (RecursionError, TypeError, ValueError) as error:
        status, result = "422 Unprocessable Content", {"detail": str(error)}
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]
