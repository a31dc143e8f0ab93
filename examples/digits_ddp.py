"""Learns to read handwritten digits on several nodes: PyTorch's DistributedDataParallel over gloo, one copy of the model on each rank.

All ranks save and stop after the same step, because rank 0 decides and the decision travels by a broadcast: `attach(agree=…)`. What
each rank's next step depends on is gathered by rank 0, which alone writes. So the last weights are the same, bit for bit, however often
it is interrupted and on whichever nodes it goes on; only the number of ranks may not change.

    ckptrun submit --nodes=3 -- torchrun --nproc-per-node=1 examples/digits_ddp.py
    ckptrun train -- torchrun --nproc-per-node=2 examples/digits_ddp.py
"""

import argparse
import os
import time

import numpy as np
import torch
import torch.distributed as dist
from digits_torch import accuracy, digits, network
from torch import nn

import ckptrun


def main() -> None:
    options = parse()
    torch.set_num_threads(1)  # sums come out the same on any number of cores
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    images, labels = digits()
    torch.manual_seed(1)
    # Otherwise DDP orders the gradients anew after its first step, and three ranks' sums are rounded by their places: a restart would show.
    model = nn.parallel.DistributedDataParallel(network(options.hidden), find_unused_parameters=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    torch.manual_seed(rank)  # each rank drops out other units
    rng = np.random.default_rng(1)  # all ranks draw the same batch, and each takes its share
    start = 0

    run = ckptrun.attach(agree=rank_0_decides)
    if run.resume_from:
        saved = torch.load(run.resume_from / "state.pt", weights_only=True)
        model.module.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["torch_rng"][rank])
        rng.bit_generator.state = saved["numpy_rng"]
        start = run.resume_step + 1
        if rank == 0:
            print(f"continuing after step {run.resume_step}", flush=True)

    for step in range(start, options.steps):
        chosen = torch.from_numpy(rng.choice(1437, 60, replace=False)[rank::world])
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        time.sleep(options.step_seconds)
        if rank == 0 and step % options.log_every == 0:
            print(f"step {step} of {options.steps}: loss {loss.item():.4f}", flush=True)
        if run.should_save(step, metrics={"loss": loss.item()}, total=options.steps):
            states = [torch.empty_like(torch.get_rng_state()) for _ in range(world)]
            dist.all_gather(states, torch.get_rng_state())
            if rank == 0:
                state = {
                    "model": model.module.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "torch_rng": states,
                    "numpy_rng": rng.bit_generator.state,
                }
                with run.checkpoint(step) as folder:
                    torch.save(state, folder / "state.pt")
                print(f"saved step {step} on {os.environ.get('SLURMD_NODENAME', 'this machine')}", flush=True)
        if run.should_stop:
            break
    else:
        if rank == 0:
            print(f"accuracy {accuracy(model.module, images[1437:], labels[1437:]):.3f}")
            torch.save(model.module.state_dict(), run.output_dir / "final.pt")
        run.done()
    dist.barrier()  # nobody hangs up while another still speaks
    dist.destroy_process_group()


def rank_0_decides(number: int) -> int:
    """The number that rank 0 has, on every rank."""
    decision = torch.tensor([number])
    dist.broadcast(decision, 0)
    return int(decision.item())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="learn to read handwritten digits on several nodes")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--hidden", type=int, default=16, help="channels of the first layer")
    parser.add_argument("--log-every", type=int, default=20, help="steps between two lines of progress")
    parser.add_argument("--step-seconds", type=float, default=0, help="rest after each step, to be slower than it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
