# SPDX-License-Identifier: BSD-3-Clause
"""A server of one ONNX file as a WSGI application, for gunicorn: without fashioncnn.

The file, which `export_onnx` has written, is named by the environment variable MODEL.

    cd examples/onnx
    MODEL=web/model.onnx gunicorn --preload --workers 2 wsgi_app:app

A request has the pixels of one picture as bytes, or a list of pictures as JSON:

    curl --data-binary @picture.raw -H "Content-Type: application/octet-stream" localhost:8000
    curl --data "[[[0, 255], [255, 0]]]" -H "Content-Type: application/json" localhost:8000
"""

import json
import os
from collections.abc import Callable
from typing import Any

from onnx_classifier import OnnxClassifier

# With --preload once, before the workers are forked: it has no threads that they would miss.
classifier = OnnxClassifier(os.environ["MODEL"])


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a request; what can't be predicted is answered 422, with the reason."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        if environ.get("CONTENT_TYPE", "").startswith("application/json"):
            images = json.loads(body)
        else:
            images = classifier.from_bytes(body)
        status, result = "200 OK", classifier.answer(images)
    except (RecursionError, ValueError) as error:
        status, result = "422 Unprocessable Content", {"detail": str(error)}
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]
