#!/bin/bash
# One search on an existing Ray cluster, submitted from outside. The cluster asks for a token (RAY_AUTH_TOKEN here and
# on every machine) and its dashboard is reached through a tunnel, never from the network:
#
#   ssh -N -L 8265:127.0.0.1:8265 head-of-the-cluster &
#   RAY_AUTH_TOKEN=... deploy/submit.sh studies/quickstart.yaml /shared/runs/quickstart 's3://bucket/stages?region=...'
#
# The store's credentials and a database's password are in the environment of the cluster's machines, not here.
set -euo pipefail

study=${1:?give a study file that lies below the current folder}
out=${2:?give a run directory on the disk of the head, or on a shared one}
store=${3:?give a store that all machines reach}
: "${RAY_AUTH_TOKEN:?the token of the cluster must be in the environment}"

export RAY_AUTH_MODE=token
ray job submit --address "${RAY_DASHBOARD:-http://127.0.0.1:8265}" --working-dir . \
  -- mbo-search run "$study" --out "$out" --address auto --set "resources.store.url=$store" --quiet
