# SPDX-License-Identifier: BSD-3-Clause
"""The precision in which a network trains, by what the machine does in hardware."""

import os
import re
from pathlib import Path

from fashioncnn._backend import tf
from fashioncnn._warnings import warn_user

_CPU_FEATURES = {"amx_bf16", "avx512_bf16"}
_GPU_CAPABILITY = (8, 0)  # of NVIDIA's Ampere, the first with bfloat16


def training_precision(precision: str) -> str:
    """Choose "float32" or "bfloat16", as the user or, with "auto", the machine has it.

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
        warn_user(
            "precision='bfloat16', but TensorFlow finds no processor here that computes in it "
            "(with AVX512_BF16 or AMX, as Linux reports it, or a GPU of compute capability 8.0 or "
            "higher), so training may be many times slower. Use precision='auto' or 'float32'."
        )
    return precision


def _has_bfloat16() -> bool:
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(each.get("compute_capability", (0, 0)) >= _GPU_CAPABILITY for each in details)
    is_onednn_off = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false")
    return not (is_onednn_off or _is_limited()) and not _CPU_FEATURES.isdisjoint(_cpu_flags())


def _is_limited() -> bool:
    """Say whether the user keeps oneDNN from what the processor has."""
    names = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
    limits = [os.environ[name].upper() for name in names if name in os.environ]
    return any(not re.search("BF16|FP16|AMX|ALL|DEFAULT", limit) for limit in limits)


def _cpu_flags() -> set[str]:
    """Return what Linux reports of the processor; nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    flags = re.search(r"^flags\s*:(.*)", text, re.MULTILINE)
    return set(flags[1].split()) if flags else set()
