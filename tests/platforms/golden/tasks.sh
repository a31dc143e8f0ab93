#!/bin/bash
# Made by `ckptrun submit`.
#SBATCH --job-name=digits
#SBATCH --output=/scratch/runs/digits/jobs/%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=2

# Before a time limit, at a preemption, at scancel: Slurm signals this shell and each task that srun started. The tasks act;
# the shell only has to outlive it, or everything would be killed at once.
trap : TERM USR1 USR2
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" /opt/venv/bin/ckptrun train --run digits train.py
exit $?
