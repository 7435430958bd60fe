# SPDX-License-Identifier: BSD-3-Clause
"""The precision in which a network trains, by what the machine does in hardware."""

import os
import re
from pathlib import Path

from fashioncnn._messages import warn_user
from fashioncnn._tensorflow.backend import tf

_CPU_FEATURES = {"amx_bf16", "avx512_bf16"}
_ONEDNN_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
# Of their values: those with bfloat16 in hardware, and those without it at all.
_WITH_BFLOAT16 = re.compile("BF16|FP16|AMX|AVX10|ALL|DEFAULT")
_WITHOUT_BFLOAT16 = re.compile("SSE41|AVX|AVX2.*")
_GPU_CAPABILITY = (8, 0)  # of NVIDIA's Ampere, the first with bfloat16


def training_precision(precision: str) -> str:
    """Choose "float32" or "bfloat16", as the user or, with "auto", the machine has it.

    Raises
    ------
    ValueError
        If the user asks for bfloat16, and has set oneDNN to what does not know it.

    Warns
    -----
    UserWarning
        If the user asks for bfloat16 where it is not done in hardware.
    """
    if precision == "float32":
        return precision
    has_bfloat16 = _has_bfloat16()
    if precision == "auto":
        return "bfloat16" if has_bfloat16 else "float32"
    if not has_bfloat16:
        _refuse_limits()
        warn_user(
            f"precision='bfloat16', but {_cause()}, so training may be many times slower. Use "
            "precision='auto' or 'float32'."
        )
    return precision


def _has_bfloat16() -> bool:
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(each.get("compute_capability", (0, 0)) >= _GPU_CAPABILITY for each in details)
    return _is_capable() and not _limits()


def _is_capable() -> bool:
    """Say whether the processor computes in bfloat16, if no setting forbids it."""
    return not _CPU_FEATURES.isdisjoint(_cpu_flags())


def _limits() -> dict[str, str]:
    """Return the environment variables by which the user keeps TensorFlow from bfloat16."""
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false"):
        return {"TF_ENABLE_ONEDNN_OPTS": os.environ["TF_ENABLE_ONEDNN_OPTS"]}
    values = {name: os.environ.get(name, "ALL") for name in _ONEDNN_LIMITS}
    return {name: v for name, v in values.items() if not _WITH_BFLOAT16.search(v.upper())}


def _cause() -> str:
    if _is_capable() and _limits():
        settings = " and ".join(f"{name}={value}" for name, value in _limits().items())
        return f"the environment variable {settings} keeps TensorFlow from its hardware"
    return (
        "no processor is found that computes in it (with AVX512_BF16 or AMX, as Linux reports it, "
        "or a GPU of compute capability 8.0 or higher)"
    )


def _refuse_limits() -> None:
    """Refuse bfloat16 where TensorFlow would ask oneDNN for it, and a setting forbids it to oneDNN.

    TensorFlow looks at the processor only: with AVX-512 it asks.
    """
    for name, value in _limits().items():
        if _WITHOUT_BFLOAT16.fullmatch(value.upper()) and "avx512f" in _cpu_flags():
            raise ValueError(
                f"precision='bfloat16', but the environment variable {name}={value} keeps oneDNN "
                "from computing in it. Unset it before Python starts, or use precision='auto' or "
                "'float32'."
            )


def _cpu_flags() -> set[str]:
    """Return what Linux reports of the processor; nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    flags = re.search(r"^flags\s*:(.*)", text, re.MULTILINE)
    return set(flags[1].split()) if flags else set()
