"""Numbers on the command line: within limits, or with a sign in front."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIGNED: Final = re.compile(r"-\d")


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


def joined(argv: Sequence[str], *names: str) -> list[str]:
    """Join options with values such as ``-12h``, which argparse takes for options of their own."""
    found: list[str] = []
    for word in argv:
        if found and found[-1] in names and _SIGNED.match(word):
            found[-1] = f"{found[-1]}={word}"
        else:
            found.append(word)
    return found
