"""Numbers on the command line that must be within limits."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def number(fits: Callable[[float], bool], refusal: str) -> Callable[[str], float]:
    """Return a type for argparse: numbers that fit; all else is refused with the sentence."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(refusal)
        return value

    return parse
