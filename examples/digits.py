"""Learns to read handwritten digits, and goes on where it was when the machine was taken away.

    ckptrun train examples/digits.py
    python examples/digits.py            # works the same on its own, with ./checkpoints and ./output

However often it is interrupted, the last weights are the same, bit for bit.
"""

import argparse
import time

import network  # before numpy: it says how many threads that may use
import numpy as np

import ckptrun


def main() -> None:
    options = parse()
    learn_images, learn_labels, judge_images, judge_labels = network.digits()
    model, start = network.Network(options.hidden), 0

    run = ckptrun.attach()
    if run.resume_from:
        with np.load(run.resume_from / "state.npz") as saved:
            model.restore(saved)
        start = run.resume_step + 1
        print(f"continuing after step {run.resume_step}", flush=True)

    for step in range(start, options.steps):
        loss = model.train(learn_images, learn_labels)
        time.sleep(options.step_seconds)
        if step % options.log_every == 0:
            print(f"step {step} of {options.steps}: loss {loss:.4f}", flush=True)
        epochs = (step + 1) * network.BATCH // len(learn_labels)
        if run.should_save(step, epoch=epochs, metrics={"loss": loss}, total=options.steps):
            with run.checkpoint(step) as folder:
                np.savez(folder / "state.npz", **model.state())
            print(f"saved step {step}", flush=True)
        if run.should_stop:
            break
    else:
        print(f"accuracy {model.accuracy(judge_images, judge_labels):.3f}")
        np.savez(run.output_dir / "final.npz", **model.weights)
        run.done()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="learn to read handwritten digits")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--hidden", type=int, default=512, help="size of the two hidden layers")
    parser.add_argument("--log-every", type=int, default=20, help="steps between two lines of progress")
    parser.add_argument("--step-seconds", type=float, default=0, help="rest after each step, to be slower than it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
