"""Makes ``import torchvision`` work beside a PyTorch that lacks its compiled operators.

The package index serves torchvision built for CUDA. Beside a CPU build of torch its compiled
library does not load, and importing torchvision stops at its first Python kernel for an operator
that nobody declared: ``operator torchvision::nms does not exist``. timm, open_clip, torchmetrics
and several classes of transformers import torchvision and fall with it, although none of them
calls that operator here. Declaring the operators is enough for the import to pass.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from thesislib.errors import ThesisError

# The compiled operators for which torchvision registers Python kernels while it is imported.
SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
# A declaration lives as long as the library object that made it.
_declared: list[object] = []


def ensure_torchvision() -> ModuleType:
    """Imports torchvision, declaring its missing operators first where that is needed.

    Call it before the first import of timm, open_clip, torchmetrics or a transformers model. Where
    torchvision loads natively this is the plain import. The declared operators have no kernel:
    calling one (non-maximum suppression of boxes, which nothing here does) raises
    ``NotImplementedError``.

    Returns:
        The torchvision module.

    Raises:
        ThesisError: torchvision is not installed, or fails for any other reason.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise ThesisError(
            "torchvision is not installed: pip install 'thesislib[models]' brings it."
        ) from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise ThesisError(
                f"torchvision does not load ({error}); reinstall it together with torch."
            ) from error
    _declare_missing()
    # What the failed import left behind would be found again and be half empty.
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
    try:
        return importlib.import_module("torchvision")
    except (RuntimeError, ImportError) as error:
        raise ThesisError(
            f"torchvision does not load beside this torch ({error}); install the pair of "
            "versions that constraints.txt names."
        ) from error


def _declare_missing() -> None:
    """Declares each operator of ``SCHEMAS`` that torch does not know yet."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _declared.append(library)
