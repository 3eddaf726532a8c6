#!/usr/bin/env bash
# Stop the private Docker engine that setup-test-services.sh started. Images and jars stay in the
# cache. An engine whose containers belong to a test run that still lives is left alone, unless
# --force is given; an engine that this project did not start is never touched.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${PERSONAREC_CACHE:-$root/.cache}
engine=$root/docker/engine.sh
engine_dir=$cache/docker
[ -d "$engine_dir" ] && [ "$(uname -s)" = Linux ] || exit 0

host=$("$engine" host "$engine_dir")
[ -S "${host#unix://}" ] || exit 0

# The tests label their containers with the process that runs them. (The engine is on this machine.)
owners=$(DOCKER_HOST=$host timeout -k 1 10 docker ps --filter label=personarec.test.pid \
  --format '{{.Label "personarec.test.pid"}}' 2>/dev/null || true)
if [ "${1:-}" != --force ]; then
  for owner in $owners; do
    if [ -d "/proc/$owner" ]; then
      echo "test services: the private Docker engine stays, test run $owner still uses it"
      exit 0
    fi
  done
fi

rm -f "$cache/test-services.env"
timeout -k 5 60 "$engine" down "$engine_dir"
echo "test services: stopped the private Docker engine"
