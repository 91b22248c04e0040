#!/usr/bin/env bash
# Trains on two machines that this one plays: network namespaces, joined by a cable. Needs root and `ip`.
#
#   configs/clusters/two_machines.sh configs/recipes/stamps.toml --set train.accumulate=2 --set train.output=runs/two --set train.steps=2
#
# On two real machines, the last lines are what is typed on each, with their own address and interface.
set -euo pipefail

program=${ANTIPHON:-build/bin/antiphon} names=("antiphon-$$-0" "antiphon-$$-1")
other=
cleanup() {
  if [ -n "$other" ]; then kill "$other" 2>/dev/null || true; wait "$other" 2>/dev/null || true; fi
  for name in "${names[@]}"; do ip netns delete "$name" 2>/dev/null || true; done
}
trap cleanup EXIT
for name in "${names[@]}"; do ip netns add "$name"; done
ip link add wire0 netns "${names[0]}" type veth peer name wire1 netns "${names[1]}"
for i in 0 1; do
  ip -n "${names[i]}" addr add "10.77.0.$((i + 1))/24" dev "wire$i"
  ip -n "${names[i]}" link set "wire$i" up
  ip -n "${names[i]}" link set lo up
done

machine() {
  exec ip netns exec "${names[$1]}" "$program" launch "${@:2}" --procs 1 --nodes 2 --node "$1" --address 10.77.0.1 --port 29500 --set "parallel.interface=wire$1"
}
machine 1 "$@" &
other=$!
(machine 0 "$@")
wait "$other"
other=
