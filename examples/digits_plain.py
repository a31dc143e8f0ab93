"""Learns to read handwritten digits, and knows nothing of ckptrun: it has `--out` and `--resume`, as many scripts have.

It rewrites one file in place every `--save-every` steps. Whoever interrupts it in the middle of that is left with half a file.

    python examples/digits_plain.py --out state.npz
    python examples/digits_plain.py --out state.npz --resume state.npz

    ckptrun train --on-resume '--resume {resume_from}' examples/digits_plain.py --out '{output_dir}/state.npz'
"""

import argparse
import time

import network  # before numpy: it says how many threads that may use
import numpy as np


def main() -> None:
    options = parse()
    learn_images, learn_labels, judge_images, judge_labels = network.digits()
    model, start = network.Network(options.hidden), 0
    if options.resume:
        with np.load(options.resume) as saved:
            model.restore(saved)
            start = int(saved["step"]) + 1
        print(f"continuing after step {start - 1}", flush=True)

    for step in range(start, options.steps):
        loss = model.train(learn_images, learn_labels)
        time.sleep(options.step_seconds)
        if step % options.log_every == 0:
            print(f"step {step} of {options.steps}: loss {loss:.4f}", flush=True)
        if (step + 1) % options.save_every == 0 or step == options.steps - 1:
            np.savez(options.out, step=step, **model.state())
            print(f"saved step {step}", flush=True)

    print(f"accuracy {model.accuracy(judge_images, judge_labels):.3f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="learn to read handwritten digits")
    parser.add_argument("--out", required=True, help="the file to save to, ending in .npz")
    parser.add_argument("--resume", help="the file to continue from")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--save-every", type=int, default=100, help="steps between two saves")
    parser.add_argument("--hidden", type=int, default=512, help="size of the two hidden layers")
    parser.add_argument("--log-every", type=int, default=20, help="steps between two lines of progress")
    parser.add_argument("--step-seconds", type=float, default=0, help="rest after each step, to be slower than it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
