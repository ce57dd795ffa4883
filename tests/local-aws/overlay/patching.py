"""How a correction takes the place of moto's own code."""

from typing import Any, Callable


def existing(owner: Any, name: str) -> Callable[..., Any]:
    """A function of one of moto's classes or modules, or of its libraries', that is about to be replaced."""
    found = getattr(owner, name, None)
    if found is None:
        raise RuntimeError(f"there is no {owner.__name__}.{name}: the overlay was written for another version")
    return found


def replaces(owner: type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a method that moto has. The new one gets the old one as its first argument, `original`.

    A method that is no longer there means another version of moto: the server then refuses to start, instead of leaving
    the behaviour that the correction was written for.
    """
    original = existing(owner, name)

    def install(replacement: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return replacement(original, self, *args, **kwargs)

        method.__name__ = name
        method.__doc__ = replacement.__doc__
        setattr(owner, name, method)
        return replacement

    return install


def adds(owner: type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a method that moto lacks. One that moto has since grown must be looked at before it is covered."""
    if hasattr(owner, name):
        raise RuntimeError(f"moto has {owner.__qualname__}.{name} now: the overlay's own may be unnecessary")

    def install(method: Callable[..., Any]) -> Callable[..., Any]:
        method.__name__ = name
        setattr(owner, name, method)
        return method

    return install
