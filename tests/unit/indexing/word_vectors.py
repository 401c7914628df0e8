"""A small embedding model: texts that share words have similar vectors."""

from __future__ import annotations

import hashlib
import re

DIMENSION = 64


def word_vector(text: str) -> list[float]:
    """Count words in as many buckets; the vector is not of unit length."""
    vector = [0.0] * DIMENSION
    for word in re.findall(r"\w+", text.lower()):
        vector[hashlib.sha256(word.encode()).digest()[0] % DIMENSION] += 1.0
    return vector
