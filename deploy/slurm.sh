#!/bin/bash
# One search on one Slurm machine. Slurm warns with USR1 before the time limit or a preemption; the search saves its
# trials and ends with 130, and the job asks for its own repetition, which goes on where it was.
#
#   sbatch deploy/slurm.sh studies/quickstart.yaml /shared/runs/quickstart
#
#SBATCH --job-name=mbo-search
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus=1
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@120
set -euo pipefail

study=${1:?give a study file}
out=${2:?give a run directory on a disk that outlives the job}

# The warning goes to the step that srun starts, not to this shell.
code=0
if [ -e "$out/study.yaml" ]; then
  srun mbo-search resume "$out" --quiet || code=$?
else
  srun mbo-search run "$study" --out "$out" --quiet || code=$?
fi

# 130: interrupted, everything is saved. Anything else is an end, good or bad.
if [ "$code" = 130 ]; then
  scontrol requeue "$SLURM_JOB_ID"
  code=0
fi
exit "$code"
