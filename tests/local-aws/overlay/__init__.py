"""What moto lacks or answers differently from AWS, one module per service area.

Each function that replaces one of moto's says in its docstring which behaviour of AWS it encodes. That is our reading of
AWS's documentation: nothing here was compared with AWS itself.
"""

from . import (
    autoscaling,
    iam,
    images,
    instances,
    launch_templates,
    networks,
    paging,
    secrets,
    security_groups,
    snapshots,
    speed,
    tags,
)

MODULES = (
    autoscaling,
    iam,
    images,
    instances,
    launch_templates,
    networks,
    paging,
    secrets,
    security_groups,
    snapshots,
    tags,
    speed,
)


def apply() -> None:
    """Put every correction in place. Importing the services here also makes the first call as fast as the others."""
    for module in MODULES:
        module.apply()
