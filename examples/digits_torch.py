"""Learns to read handwritten digits with PyTorch on the CPU, saving all that the next step depends on.

That is the weights, the optimizer, the learning rate's schedule and three random generators: PyTorch's (dropout), numpy's (which
images) and Python's own (how each batch is shifted). So the last weights are the same, bit for bit, however often it is interrupted.

    ckptrun train examples/digits_torch.py
"""

import argparse
import random
import time

import digits_data
import numpy as np
import torch
from torch import nn

import ckptrun


def main() -> None:
    options = parse()
    torch.set_num_threads(1)  # sums come out the same on any number of cores
    images, labels = digits()
    torch.manual_seed(1)
    random.seed(1)
    rng = np.random.default_rng(1)
    model = network(options.hidden)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    start = 0

    run = ckptrun.attach()
    if run.resume_from:
        saved = torch.load(run.resume_from / "state.pt", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        torch.set_rng_state(saved["torch_rng"])
        rng.bit_generator.state = saved["numpy_rng"]
        random.setstate(saved["python_rng"])
        start = run.resume_step + 1
        print(f"continuing after step {run.resume_step}", flush=True)

    for step in range(start, options.steps):
        chosen = torch.from_numpy(rng.choice(1437, 64, replace=False))
        batch = torch.roll(images[chosen], shifts=random.choice((-1, 0, 0, 1)), dims=3)
        loss = nn.functional.cross_entropy(model(batch), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        time.sleep(options.step_seconds)
        if step % options.log_every == 0:
            print(f"step {step} of {options.steps}: loss {loss.item():.4f}", flush=True)
        epochs = (step + 1) * 64 // 1437
        if run.should_save(step, epoch=epochs, metrics={"loss": loss.item()}, total=options.steps):
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "torch_rng": torch.get_rng_state(),
                "numpy_rng": rng.bit_generator.state,
                "python_rng": random.getstate(),
            }
            with run.checkpoint(step) as folder:
                torch.save(state, folder / "state.pt")
            print(f"saved step {step}", flush=True)
        if run.should_stop:
            break
    else:
        print(f"accuracy {accuracy(model, images[1437:], labels[1437:]):.3f}")
        torch.save(model.state_dict(), run.output_dir / "final.pt")
        run.done()


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels of scikit-learn's own, shuffled: 1,437 to learn from, then 360 to be judged by."""
    images, labels = digits_data.shuffled()
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels)


def network(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(2 * channels * 16, 10),
    )


@torch.no_grad()
def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    return (model(images).argmax(1) == labels).float().mean().item()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="learn to read handwritten digits")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--hidden", type=int, default=32, help="channels of the first layer")
    parser.add_argument("--log-every", type=int, default=20, help="steps between two lines of progress")
    parser.add_argument("--step-seconds", type=float, default=0, help="rest after each step, to be slower than it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
