# SPDX-License-Identifier: BSD-3-Clause
"""A server of one model by FastAPI; requests are answered side by side in its threads.

The file of the model, which `save` has written, is named by the environment variable MODEL.

    cd examples/serve
    MODEL=model.safetensors uvicorn fastapi_app:app

A request has a list of pictures as JSON, or the pixels of one picture as bytes:

    curl --data "[[[0, 255], [255, 0]]]" -H "Content-Type: application/json" localhost:8000/json
    curl --data-binary @picture.raw -H "Content-Type: application/octet-stream" localhost:8000/raw
"""

import os
from typing import Annotated, Any

import numpy as np
from fastapi import Body, FastAPI, HTTPException

from fashioncnn import FashionCNNClassifier

app = FastAPI()
clf = FashionCNNClassifier.load(os.environ["MODEL"])


def answer(images: Any) -> list[dict[str, Any]]:
    """Give each picture's label and the probability of it, or refuse them with the reason."""
    try:
        probabilities = clf.predict_proba(images)
    except (TypeError, ValueError) as error:
        raise HTTPException(422, str(error)) from error
    labels = clf.classes_[probabilities.argmax(axis=1)]
    highest = probabilities.max(axis=1)
    return [
        {"label": label, "probability": probability}
        for label, probability in zip(labels.tolist(), highest.tolist(), strict=True)
    ]


@app.post("/json")
def answer_json(images: Annotated[list[Any], Body()]) -> list[dict[str, Any]]:
    """Answer for a list of pictures."""
    return answer(images)


@app.post("/raw")
def answer_raw(
    body: Annotated[bytes, Body(media_type="application/octet-stream")],
) -> list[dict[str, Any]]:
    """Answer for the pixels of one picture."""
    return answer(np.frombuffer(body, np.uint8)[np.newaxis])
