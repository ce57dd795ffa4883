"""What moto works out again for each request, and what never changes while it runs: kept. It answers the same."""

import functools
import gc
from types import ModuleType

import moto.core.responses
import xmltodict

from .patching import existing


def apply() -> None:
    remember(moto.core.responses, "method_names_from_class")
    remember(xmltodict, "_validate_name")
    # Nearly a hundred thousand objects of modules, which each full collection would look at again.
    gc.collect()
    gc.freeze()


def remember(module: ModuleType, name: str) -> None:
    """Keep what a function of `module` returned."""
    setattr(module, name, functools.cache(existing(module, name)))
