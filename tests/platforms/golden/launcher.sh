#!/bin/bash
# Made by `ckptrun submit`.
#SBATCH --job-name=digits
#SBATCH --output=/scratch/runs/digits/jobs/%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --nodes=2

# ckptrun takes this shell's place, so that Slurm's signals reach it. At scancel, requeue and preemption Slurm signals the tasks
# that the command starts as well: those that do not catch TERM die of it, and what was saved before counts. A time limit is known
# before, and the tasks are asked to save.
exec /opt/venv/bin/ckptrun train --run digits -- srun python train.py
