"""A Lightning training that keeps its two best checkpoints: DIRECTORY EPOCHS [CHECKPOINT]."""

import sys

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

directory, epochs, checkpoint = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or [None])[0]


class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.save_hyperparameters({"dirpath": "/data/somewhere"})

    def training_step(self, batch, _):
        loss = self.layer(batch).pow(2).mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


torch.manual_seed(0)
keeps = ModelCheckpoint(directory, monitor="loss", save_top_k=2, save_last=True, filename="{epoch}")
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
trainer = L.Trainer(max_epochs=epochs, callbacks=[keeps], **quiet)
trainer.fit(Net(), torch.utils.data.DataLoader(torch.ones(8, 4), batch_size=4), ckpt_path=checkpoint)
