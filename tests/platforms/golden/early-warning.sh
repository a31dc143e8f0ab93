#!/bin/bash
# Made by `ckptrun submit`.
#SBATCH --job-name=digits
#SBATCH --output=/scratch/runs/digits/jobs/%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=USR1@60
#SBATCH --time=1

# Before a time limit, at a preemption, at scancel: Slurm signals this shell and each task that srun started. The tasks act;
# the shell only has to outlive it, or everything would be killed at once.
trap : TERM USR1 USR2
# A warning that comes before ckptrun catches it would kill it: until then it is ignored (the time limit is known anyway).
srun --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" sh -c 'trap "" USR1; exec "$@"' sh /opt/venv/bin/ckptrun train t.py
exit $?
