"""Looking at an answer that is being made again: it is waited for, as long as there is time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dask_verify.engine.resting import look_at_rest


class Driver:
    """Comes to rest in another thread, once somebody has looked in vain."""

    def __init__(self, comes_to_rest: bool) -> None:
        self.changed, self.looks = threading.Condition(), 0
        self.resting = self.rests = False
        self.comes_to_rest = comes_to_rest

    def look(self, take: Callable[[], Any], timeout: float | None) -> Any:
        self.looks += 1
        found = take()
        if self.comes_to_rest and not self.resting:
            threading.Thread(target=self.settle).start()
        return found

    def settle(self) -> None:
        with self.changed:
            self.resting = self.rests = True
            self.changed.notify_all()


def test_what_is_made_again_is_waited_for() -> None:
    driver: Any = Driver(comes_to_rest=True)
    assert look_at_rest(driver, lambda: driver.resting) is True
    assert driver.looks == 2


def test_what_is_at_rest_is_looked_at_once() -> None:
    driver: Any = Driver(comes_to_rest=False)
    driver.resting = True
    assert look_at_rest(driver, lambda: None) is None
    assert driver.looks == 1


def test_what_is_never_made_again_takes_no_longer_than_there_is_time() -> None:
    driver: Any = Driver(comes_to_rest=False)
    with pytest.raises(TimeoutError, match="made again"):
        look_at_rest(driver, lambda: pytest.fail("not at rest"), timeout=0.01)
