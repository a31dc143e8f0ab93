"""A small network that is really trained: weights, Adam's moments, the generator's state and the order of the data are its state.

network.py STEPS SECONDS [--save-seconds S], as puppet.py. What it learns depends on every bit of all of them, at every step.
"""

import json
import time

import numpy as np
import puppet

import ckptrun

ROWS, INPUTS, HIDDEN, BATCH = 512, 8, 16, 32
RATE, BETA1, BETA2, TINY = 1e-2, 0.9, 0.999, 1e-8
KEPT = 0.8  # dropout's share of units, so that the generator is asked in every step
SHAPES = {"w1": (INPUTS, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, 1), "b2": (1,)}


class Training:
    """Everything the next step depends on."""

    def __init__(self, folder=None):
        self.random = np.random.default_rng(1)
        self.weights = {name: self.random.normal(0, 0.3, shape) for name, shape in SHAPES.items()}
        self.moments = {name: np.zeros((2, *shape)) for name, shape in SHAPES.items()}
        self.order = np.arange(ROWS)
        if folder is not None:
            self.load(folder)

    def step(self, step):
        """One batch, without replacement within an epoch; its loss."""
        at = step * BATCH % ROWS
        if at == 0:
            self.order = self.random.permutation(ROWS)
        rows = self.order[at : at + BATCH]
        loss, slopes = self.slopes(X[rows], Y[rows])
        for name, slope in slopes.items():
            first, second = self.moments[name]
            first += (1 - BETA1) * (slope - first)
            second += (1 - BETA2) * (slope**2 - second)
            rate = RATE * np.sqrt(1 - BETA2 ** (step + 1)) / (1 - BETA1 ** (step + 1))
            self.weights[name] -= rate * first / (np.sqrt(second) + TINY)
        return loss

    def slopes(self, x, y):
        weights = self.weights
        mask = (self.random.random((len(x), HIDDEN)) < KEPT) / KEPT
        hidden = np.tanh(x @ weights["w1"] + weights["b1"])
        error = (hidden * mask) @ weights["w2"] + weights["b2"] - y
        back = (error @ weights["w2"].T) * mask * (1 - hidden**2)
        return float((error**2).mean()), {
            "w1": x.T @ back / len(x),
            "b1": back.mean(0),
            "w2": (hidden * mask).T @ error / len(x),
            "b2": error.mean(0),
        }

    def save(self, folder):
        arrays = {f"weights-{name}": value for name, value in self.weights.items()}
        arrays |= {f"moments-{name}": value for name, value in self.moments.items()}
        np.savez(folder / "state.npz", order=self.order, **arrays)
        (folder / "random.json").write_text(json.dumps(self.random.bit_generator.state))

    def load(self, folder):
        with np.load(folder / "state.npz") as arrays:
            self.order = arrays["order"]
            for name in SHAPES:
                self.weights[name], self.moments[name] = arrays[f"weights-{name}"], arrays[f"moments-{name}"]
        self.random.bit_generator.state = json.loads((folder / "random.json").read_text())

    def bits(self):
        """All weights and moments, byte for byte."""
        return b"".join(each[name].tobytes() for each in (self.weights, self.moments) for name in SHAPES)


def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, INPUTS))
    return x, np.sin(x.sum(1, keepdims=True)) + 0.1 * random.normal(size=(ROWS, 1))


def main():
    options = puppet.parse()
    run = ckptrun.attach()
    training = Training(run.resume_from)
    start = run.resume_step + 1 if run.resume_from else 0
    puppet.say(options, event="start", step=start)
    for step in range(start, options.steps):
        puppet.pause(options)
        loss = training.step(step)
        puppet.say(options, event="step", step=step)
        if run.should_save(step, metrics={"loss": loss}, total=options.steps):
            with run.checkpoint(step) as folder:
                time.sleep(options.save_seconds)
                training.save(folder)
            puppet.say(options, event="saved", step=step)
        if run.should_stop:
            puppet.say(options, event="stopped", step=step)
            break
    else:
        (run.output_dir / "final").write_bytes(training.bits())
        run.done()
        puppet.say(options, event="done", step=options.steps)


X, Y = data()
if __name__ == "__main__":
    main()
