"""Texts as vectors: counts of words and of their parts, hashed into a fixed number of places.

Two texts are near when they share words, or words of the same stem; that is all a test of search needs, and it takes no
model. The method is feature hashing (Weinberger et al., 2009) with signs, of words and of character trigrams.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter

DEFAULT_DIMENSIONS = 768
MAX_DIMENSIONS = 3072
_WORD = re.compile(r"\w+")
_WHOLE, _PART = 1.0, 0.35
"""What a shared word counts, and a shared trigram."""


def embed(text: str, dimensions: int = DEFAULT_DIMENSIONS) -> list[float]:
    """A vector of length one; of zeros for a text without words.

    Example:
        >>> sum(a * b for a, b in zip(embed("a cheap flight"), embed("cheap flights"))) > 0.5
        True
    """
    vector = [0.0] * dimensions
    for feature, weight in _features(text).items():
        digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest())
        vector[digest % dimensions] += weight if digest >> 63 else -weight
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else vector


def _features(text: str) -> dict[str, float]:
    words = _WORD.findall(text.casefold())
    counts = Counter[str]()
    for word in words:
        padded = f"^{word}$"
        counts[f"w {word}"] += 1
        counts.update(f"t {padded[start : start + 3]}" for start in range(len(padded) - 2))
    # The tenth "marketing" says less than the first.
    return {name: (_WHOLE if name[0] == "w" else _PART) * (1 + math.log(count)) for name, count in counts.items()}
