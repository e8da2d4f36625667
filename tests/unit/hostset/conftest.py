from collections.abc import Callable

import pytest

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import Resolution, evaluate
from tests.unit.hostset.inventory import Inventory

Faults = Callable[..., tuple[FieldError, ...]]
Labels = Callable[..., str]


@pytest.fixture
def inventory() -> Inventory:
    return Inventory()


@pytest.fixture
def resolve(inventory: Inventory) -> Callable[..., Resolution]:
    def run(targets: str, exclude: str = "", **more: int) -> Resolution:
        return evaluate(targets, exclude, groups=inventory, suggestions=lambda: inventory.groups, **more)

    return run


@pytest.fixture
def labels(resolve: Callable[..., Resolution]) -> Labels:
    def run(targets: str, exclude: str = "") -> str:
        return " ".join(resolve(targets, exclude).labels)

    return run


@pytest.fixture
def faults(resolve: Callable[..., Resolution]) -> Faults:
    def run(targets: str, exclude: str = "", **more: int) -> tuple[FieldError, ...]:
        with pytest.raises(Invalid) as caught:
            resolve(targets, exclude, **more)
        return caught.value.errors

    return run
