"""The settings that a method takes, each with a check of its values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from peftir.tuners.errors import TunerError


@dataclass(frozen=True)
class Knob:
    """One setting of a method.

    Attributes:
        help: what it is, in a line.
        excludes: the keys that it cannot be given with.
    """

    help: str
    excludes: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """The values allowed, in words."""
        raise NotImplementedError

    def admits(self, value: object) -> bool:
        """Whether ``value`` is allowed."""
        raise NotImplementedError

    def check(self, key: str, value: object) -> None:
        """Check a value.

        Raises:
            TunerError: wrong type, or not among the values allowed.
        """
        if not self.admits(value):
            raise TunerError(f"{key}: got {value!r} ({type(value).__name__}), expected {self.expected}")


@dataclass(frozen=True)
class Number(Knob):
    """A number.

    Attributes:
        kind: ``int`` or ``float``; an int is taken for a float too.
        low: the smallest value allowed, itself excluded where ``kind`` is ``float`` and not ``from_low``.
        from_low: whether ``low`` itself is allowed where ``kind`` is ``float``.
        below: all values are below this one.
    """

    kind: type = float
    low: float = 0
    from_low: bool = False
    below: float = math.inf

    def check(self, key: str, value: object) -> None:
        """Check a value: its type is named only where it is wrong.

        Raises:
            TunerError: wrong type, or out of range.
        """
        if not self._of_kind(value):
            super().check(key, value)
        elif not self.admits(value):
            raise TunerError(f"{key}: got {value!r}, expected {self.expected}")

    def admits(self, value: object) -> bool:
        """Whether ``value`` is a finite number in the range."""
        if not self._of_kind(value):
            return False
        number = float(value)  # type: ignore[arg-type]
        above = number >= self.low if self.kind is int or self.from_low else number > self.low
        return math.isfinite(number) and above and number < self.below

    @property
    def expected(self) -> str:
        """The range in words."""
        least = self.kind is int or self.from_low
        number = "a whole number" if self.kind is int else "a number"
        upper = "" if self.below == math.inf else f" and below {self.below:g}"
        return f"{number} {'of at least' if least else 'above'} {self.low:g}{upper}"

    def _of_kind(self, value: object) -> bool:
        return isinstance(value, int if self.kind is int else int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Flag(Knob):
    """True or false."""

    expected = "true or false"

    def admits(self, value: object) -> bool:
        """Whether ``value`` is a bool."""
        return isinstance(value, bool)


@dataclass(frozen=True)
class Choice(Knob):
    """One of several names.

    Attributes:
        options: the names.
    """

    options: tuple[str, ...] = ()

    def admits(self, value: object) -> bool:
        """Whether ``value`` is one of the options."""
        return isinstance(value, str) and value in self.options

    @property
    def expected(self) -> str:
        """The options."""
        return f"one of {', '.join(self.options)}"


@dataclass(frozen=True)
class Modules(Knob):
    """``all-linear``, or names of modules, each the end of a module's full name or all of it."""

    expected = "all-linear or a list of names of modules"

    def admits(self, value: object) -> bool:
        """Whether ``value`` is ``all-linear`` or a list of names that is not empty."""
        if isinstance(value, str):
            return value == ALL_LINEAR
        return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


ALL_LINEAR = "all-linear"
"""The encoder's linear layers, without those of the pooler and of the head."""

RANK = Number("rank r of the low-rank or bottleneck modules", ("budget",), int, 1)
LENGTH = Number("prefix length l: trained keys and values in each attention layer", ("budget",), int, 1)
