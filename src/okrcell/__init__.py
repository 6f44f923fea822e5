"""CLIP-style dual encoder for single-cell transcriptomes and text, with a scanpy-like API.

>>> import okrcell as okr
>>> model = okr.load()
>>> okr.tl.annotate(adata, model, candidates=["T cell", "B cell", "CL:0000576"])
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from okrcell import pl, tl
    from okrcell.benchmarking.run import benchmark
    from okrcell.data.prepare import prepare
    from okrcell.descriptions.description import Description
    from okrcell.model.embedder import load
    from okrcell.tl import enrich, standardise, standardize
    from okrcell.training.pretrain import pretrain

    __version__: str

__all__ = [
    "Description",
    "benchmark",
    "enrich",
    "load",
    "pl",
    "prepare",
    "pretrain",
    "standardise",
    "standardize",
    "tl",
]

_MODULES = {
    "Description": "okrcell.descriptions.description",
    "benchmark": "okrcell.benchmarking.run",
    "enrich": "okrcell.tl",
    "standardise": "okrcell.tl",
    "standardize": "okrcell.tl",
    "load": "okrcell.model.embedder",
    "prepare": "okrcell.data.prepare",
    "pretrain": "okrcell.training.pretrain",
}

# The library logs and never prints; a program that wants the messages adds a handler to this logger.
logging.getLogger("okrcell").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # Lazy imports (PEP 562) keep `import okrcell` fast.
    if name == "__version__":
        return import_module("importlib.metadata").version("okrcell")
    if name in {"tl", "pl"}:
        return import_module(f"okrcell.{name}")
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'okrcell' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
