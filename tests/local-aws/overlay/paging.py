"""."""


def apply() -> None:
    pass
