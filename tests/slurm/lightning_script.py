"""Lightning with its own requeueing, as its documentation shows it: lightning_script.py ROOT STEPS."""

import json
import os
import sys
import time

import lightning.pytorch as pl
import torch


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, _):
        time.sleep(0 if os.path.exists("hurry") else 0.05)
        with open("steps.jsonl", "a") as file:
            file.write(json.dumps({"step": self.global_step}) + "\n")
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


root, steps = sys.argv[1], int(sys.argv[2])
trainer = pl.Trainer(
    default_root_dir=root, max_steps=steps, accelerator="cpu", devices=1, logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
)  # fmt: skip
trainer.fit(Model(), torch.utils.data.DataLoader(torch.ones(steps, 1), batch_size=1))
print("fitted", trainer.global_step, flush=True)
