"""What moto works out again for each request, and what never changes while it runs: kept. It answers the same."""

import functools
import gc

import moto.core.responses
import xmltodict


def apply() -> None:
    remember(moto.core.responses, "method_names_from_class")
    remember(xmltodict, "_validate_name")
    # Half a million objects of modules and service models, which each collection would look at again.
    gc.collect()
    gc.freeze()


def remember(module: object, name: str) -> None:
    """Keep what a function of `module` returned. One that is gone means another version, as with `replaces`."""
    original = getattr(module, name, None)
    if original is None:
        raise RuntimeError(f"there is no {module.__name__}.{name}: the overlay was written for another version")
    setattr(module, name, functools.cache(original))
