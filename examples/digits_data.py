"""Handwritten digits: scikit-learn's own copy, read without importing scikit-learn, which would take a second at every start."""

import importlib.util
import os

import numpy as np

LEARN = 1437  # so many to learn from, and the other 360 to be judged by


def shuffled() -> tuple[np.ndarray, np.ndarray]:
    """1,797 images of 8 by 8 pixels between 0 and 1, and what they show."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None, "pip install scikit-learn"
    file = os.path.join(os.path.dirname(package.origin), "datasets", "data", "digits.csv.gz")
    table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    order = np.random.default_rng(0).permutation(len(table))
    return table[order, :-1].reshape(-1, 8, 8) / 16, table[order, -1].astype(np.int64)
