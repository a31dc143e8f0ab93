"""A small network that learns to read handwritten digits: what digits.py and digits_plain.py train. Nothing of ckptrun here.

Two hidden layers, dropout, Adam; numpy only. Everything random comes from one generator, which is part of the state: training
that goes on from a saved state draws the numbers that it would have drawn without the interruption.
"""

import itertools
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # sums come out the same on any number of cores, and small ones faster

import digits_data
import numpy as np

BATCH = 64
DROPOUT = 0.2


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images and labels to learn from, images and labels to be judged by: 1,437 and 360 of scikit-learn's own."""
    images, labels = digits_data.shuffled()
    pixels, learn = images.reshape(-1, 64), digits_data.LEARN
    return pixels[:learn], labels[:learn], pixels[learn:], labels[learn:]


class Network:
    """64 pixels → hidden → hidden → 10 digits, with everything that is needed to go on training it."""

    def __init__(self, hidden: int, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        sizes = [64, hidden, hidden, 10]
        self.weights = {}
        for layer, (n, m) in enumerate(itertools.pairwise(sizes), start=1):
            self.weights[f"w{layer}"] = self.rng.normal(0, np.sqrt(2 / n), (n, m)).astype(np.float32)
            self.weights[f"b{layer}"] = np.zeros(m, np.float32)
        self.mean = {name: np.zeros_like(w) for name, w in self.weights.items()}  # Adam's two moments
        self.square = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.updates = 0

    def train(self, images: np.ndarray, labels: np.ndarray) -> float:
        """One step on one random batch; the loss."""
        chosen = self.rng.choice(len(labels), BATCH, replace=False)
        x, y = images[chosen], labels[chosen]
        w = self.weights
        keep1 = self._dropout(w["b1"].size)
        keep2 = self._dropout(w["b2"].size)
        h1 = np.maximum(x @ w["w1"] + w["b1"], 0) * keep1
        h2 = np.maximum(h1 @ w["w2"] + w["b2"], 0) * keep2
        p = _softmax(h2 @ w["w3"] + w["b3"])
        loss = -np.log(p[np.arange(BATCH), y] + 1e-9).mean()

        d3 = (p - np.eye(10, dtype=np.float32)[y]) / BATCH
        d2 = (d3 @ w["w3"].T) * keep2 * (h2 > 0)
        d1 = (d2 @ w["w2"].T) * keep1 * (h1 > 0)
        self._adam({"w3": h2.T @ d3, "b3": d3.sum(0), "w2": h1.T @ d2, "b2": d2.sum(0), "w1": x.T @ d1, "b1": d1.sum(0)})
        return float(loss)

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """The share of `images` that is read right."""
        w = self.weights
        h1 = np.maximum(images @ w["w1"] + w["b1"], 0)
        h2 = np.maximum(h1 @ w["w2"] + w["b2"], 0)
        return float(((h2 @ w["w3"] + w["b3"]).argmax(1) == labels).mean())

    def state(self) -> dict[str, np.ndarray]:
        """All of it, as arrays with names: weights, optimizer, random generator."""
        arrays = {f"{part}.{name}": a for part in ("weights", "mean", "square") for name, a in getattr(self, part).items()}
        return arrays | {"updates": np.array(self.updates), "rng": np.array(json.dumps(self.rng.bit_generator.state))}

    def restore(self, state: "np.lib.npyio.NpzFile") -> None:
        """The opposite of `state()`."""
        for part in ("weights", "mean", "square"):
            setattr(self, part, {name: state[f"{part}.{name}"] for name in self.weights})
        self.updates = int(state["updates"])
        self.rng.bit_generator.state = json.loads(str(state["rng"]))

    def _dropout(self, size: int) -> np.ndarray:
        return (self.rng.random((BATCH, size), np.float32) > DROPOUT).astype(np.float32) / np.float32(1 - DROPOUT)

    def _adam(self, gradients: dict[str, np.ndarray], rate: float = 1e-3) -> None:
        self.updates += 1
        unbias1, unbias2 = 1 - 0.9**self.updates, 1 - 0.999**self.updates
        for name, gradient in gradients.items():
            self.mean[name] += np.float32(0.1) * (gradient - self.mean[name])
            self.square[name] += np.float32(0.001) * (gradient * gradient - self.square[name])
            step = (self.mean[name] / np.float32(unbias1)) / (
                np.sqrt(self.square[name] / np.float32(unbias2)) + np.float32(1e-8)
            )
            self.weights[name] -= np.float32(rate) * step


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)
