"""The colour and marker of each variant in tables and figures, for the light and the dark scheme."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Eight hues with a contrast of at least 3:1 to the page. With protanopia or deuteranopia (simulated after
# Machado et al. 2009), the CIE 1976 difference is at least 13 between the first five and 11 between all.
# With seven markers, a combination of colour and marker repeats only after 56 variants.
BY_DAY = ("#0066B3", "#A83000", "#11926E", "#C8589A", "#AD8B00", "#4A93E6", "#55154A", "#616161")
BY_NIGHT = ("#5AB4EE", "#F0763A", "#2CB98C", "#E48BC6", "#F0DC5A", "#B9E2FB", "#C2477A", "#8FA05A")
MARKERS = {  # matplotlib's name -> the same shape as an SVG path around the origin
    "o": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "s": "M-3.2 -3.2h6.4v6.4h-6.4z",
    "^": "M0 -3.9L3.9 3.4H-3.9z",
    "D": "M0 -4.2L4.2 0L0 4.2L-4.2 0z",
    "v": "M0 3.9L3.9 -3.4H-3.9z",
    "P": "M-1.4 -4h2.8v2.6h2.6v2.8h-2.6v2.6h-2.8v-2.6h-2.6v-2.8h2.6z",
    "X": "M-4 -2.2L-2.2 -4L0 -1.9L2.2 -4L4 -2.2L1.9 0L4 2.2L2.2 4L0 1.9L-2.2 4L-4 2.2L-1.9 0z",
}


@dataclass(frozen=True)
class Look:
    """The colour, marker and line style of a variant."""

    hue: int
    marker: str
    line: str = "-"
    """Matplotlib's name of the line style; dashed if an earlier variant has the same colour."""

    @property
    def colour(self) -> str:
        """The CSS colour, which follows the light or dark scheme."""
        return f"var(--hue-{self.hue})"

    @property
    def shape(self) -> str:
        """The marker as an SVG path around the origin."""
        return MARKERS[self.marker]


Looks = dict[str, Look]  # by variant


def looks_of(variants: Iterable[str]) -> Looks:
    """A look for each name, in the order of first appearance."""
    markers = tuple(MARKERS)
    names = dict.fromkeys(variants)
    return {
        name: Look(i % len(BY_DAY), markers[i % len(markers)], "-" if i < len(BY_DAY) else "--")
        for i, name in enumerate(names)
    }
