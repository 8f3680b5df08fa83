"""Which images are test data where nobody says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

HELD_OUT = 10  # one image in this many
FEWEST_TEST = 2  # images without which nothing is judged
NONE_HELD_OUT = "one image of each class, so that none can be held out for tests; add at least one more of each"


def held_out(labels: Sequence[Hashable], hashes: Sequence[str]) -> list[bool]:
    """Whether each image is test data.

    They are chosen by the hash of their content, so that adding images moves none; at least `FEWEST_TEST` where there
    are so many, and never all of a class: there is none where no class has two.

    Args:
        labels: the class of each image.
        hashes: of their contents, hexadecimal.
    """
    values = [int(value, 16) for value in hashes]
    left, test = Counter(labels), set[int]()
    for i in sorted(range(len(values)), key=lambda i: (values[i] % HELD_OUT != 0, values[i], i)):
        wanted = values[i] % HELD_OUT == 0 or len(test) < FEWEST_TEST
        if wanted and left[labels[i]] > 1:
            test.add(i)
            left[labels[i]] -= 1
    return [i in test for i in range(len(values))]
