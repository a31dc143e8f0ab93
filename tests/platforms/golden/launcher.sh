#!/bin/bash
# Made by `ckptrun submit`.
#SBATCH --job-name=digits
#SBATCH --output=/scratch/runs/digits/jobs/%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --nodes=2

# ckptrun takes this shell's place, so that Slurm's signals reach it: before a time limit and at scancel, though not when a
# preemption's grace time begins. The command's own launcher starts the tasks.
exec /opt/venv/bin/ckptrun train --run digits -- srun python train.py
