#!/usr/bin/env bash
# Trains on all machines of a Slurm job: one launcher on each, which starts this machine's processes, watches them and starts
# them again from the newest checkpoint. Five minutes before its time is over the job writes a checkpoint and queues itself again.
#
#   sbatch --nodes 2 --time 4:00:00 configs/clusters/slurm.sh configs/recipes/stamps.toml --set parallel.fsdp=2 --set train.accumulate=4
#
# PROCS: processes of each machine. INTERFACE: through which machines reach each other, by name. ANTIPHON: the program.
#SBATCH --job-name=antiphon
#SBATCH --ntasks-per-node=1
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

procs=${PROCS:-2} interface=${INTERFACE:-lo} program=${ANTIPHON:-build/bin/antiphon}
if [ "$SLURM_NNODES" -gt 1 ] && [ "$interface" = lo ]; then
  echo "INTERFACE must name what machines reach each other through; those of this one: $(ls -x /sys/class/net)" >&2
  exit 2
fi
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes 1 --ntasks 1 --nodelist "$first" ip -4 -o addr show dev "$interface" | awk 'NR == 1 { sub("/.*", "", $4); print $4 }')
if [ -z "$address" ]; then
  echo "$interface of $first has no IPv4 address" >&2
  exit 2
fi
port=$((20000 + SLURM_JOB_ID % 20000))

# Before the first step there is nothing to resume, and the run starts anew. 75 means asked to stop, with a checkpoint; it must
# not make srun end the launchers that are a moment later.
status=0
# shellcheck disable=SC2016  # SLURM_NODEID is each machine's own
srun --kill-on-bad-exit=1 bash -c '"$0" launch "$@" --node "$SLURM_NODEID" || { code=$?; echo "launcher: exit code $code"; [ "$code" -eq 75 ]; }' \
  "$program" "$@" --resume --procs "$procs" --nodes "$SLURM_NNODES" --address "$address" --port "$port" \
  --set "parallel.interface=$interface" | tee "slurm-$SLURM_JOB_ID.launchers" || status=$?
stopped=$(grep -c "^launcher: exit code 75$" "slurm-$SLURM_JOB_ID.launchers" || true)
rm -f "slurm-$SLURM_JOB_ID.launchers"
if [ "$status" -eq 0 ] && [ "$stopped" -gt 0 ]; then
  scontrol requeue "$SLURM_JOB_ID"
  exit 75
fi
exit "$status"
