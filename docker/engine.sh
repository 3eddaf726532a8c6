#!/usr/bin/env bash
# A private Docker engine on a unix socket, for a machine with the docker.io package, root rights
# and no running engine. It touches neither the firewall nor any other engine's files.
#
#   engine.sh up DIR      start it (images and containers in DIR/data) and print its DOCKER_HOST
#   engine.sh down DIR    stop it, with its containers; images stay for the next time
#   engine.sh host DIR    print its DOCKER_HOST, running or not
#
# Containers reach nothing outside; their published ports are served on 127.0.0.1 alone.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: engine.sh up|down|host DIR" >&2
  exit 2
fi
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
# A socket's path may not pass 107 bytes and DIR may be deep in someone's home, so what lives only
# while the engine runs is under /run, in a folder named after DIR.
number=$(cksum <<<"$dir" | cut -d ' ' -f 1)
run=/run/personarec-engine-$number
host=unix://$run/docker.sock
pid_file=$run/dockerd.pid
# A bridge and addresses of its own, out of the range that no network uses (RFC 2544): two engines on
# one bridge give the same address to two containers, and whose port answers is then a matter of luck.
bridge=personarec$((number % 512))
address=198.$((18 + number % 512 / 256)).$((number % 256)).1/24

answers() { DOCKER_HOST=$host timeout -k 1 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

engine_pid() { # prints the engine's process id while it lives
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) && [ -n "$pid" ] || return 1
  # After a crash the number may belong to someone else.
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "--pidfile=$pid_file" && echo "$pid"
}

start() {
  if answers; then return; fi
  if [ "$(id -u)" != 0 ]; then
    echo "engine.sh: only root can start an engine" >&2
    exit 1
  fi
  # Debian puts these into sbin, which a shell's PATH may lack.
  PATH=$PATH:/usr/sbin:/sbin
  for tool in dockerd ip; do
    if ! command -v "$tool" >/dev/null; then
      echo "engine.sh: $tool is not installed (packages docker.io and iproute2)" >&2
      exit 1
    fi
  done
  if engine_pid >/dev/null; then stop; fi # it lives but does not answer
  mkdir -p "$run" "$dir/data"
  chmod 700 "$run"
  rm -f "$pid_file"
  if [ ! -e "/sys/class/net/$bridge" ]; then
    ip link add name "$bridge" type bridge
    ip address add "$address" dev "$bridge"
  fi
  ip link set "$bridge" up
  # setsid and closed descriptors: it outlives the shell and the make step that called this.
  setsid nohup dockerd --host="$host" --data-root="$dir/data" --exec-root="$run/exec" \
    --pidfile="$pid_file" --bridge="$bridge" --ip=127.0.0.1 --iptables=false --ip-forward=false --ip-masq=false \
    >"$dir/dockerd.log" 2>&1 </dev/null 9>&- &
  local starter=$!
  for _ in $(seq 150); do
    if answers; then return; fi
    if ! kill -0 "$starter" 2>/dev/null && ! engine_pid >/dev/null; then break; fi
    sleep 0.2
  done
  echo "engine.sh: dockerd did not come up; the end of $dir/dockerd.log:" >&2
  tail -n 5 "$dir/dockerd.log" >&2
  stop
  exit 1
}

stop() {
  local pid
  if pid=$(engine_pid); then
    # One that outlives its engine keeps its address and its memory.
    export DOCKER_HOST=$host
    timeout -k 1 20 docker ps --quiet 2>/dev/null | timeout -k 1 30 xargs -r docker rm --force \
      >/dev/null 2>&1 || true
    kill "$pid"
    for _ in $(seq 150); do
      [ -d "/proc/$pid" ] || break
      sleep 0.2
    done
    if [ -d "/proc/$pid" ]; then kill -KILL "$pid"; fi
  fi
  if command -v ip >/dev/null; then ip link delete "$bridge" 2>/dev/null || true; fi
  rm -rf --one-file-system "$run" 2>/dev/null || true # a mount that is left keeps its folder, which does no harm
}

case $action in
  up)
    start
    echo "$host"
    ;;
  down) stop ;;
  host) echo "$host" ;;
  *)
    echo "engine.sh: unknown action '$action' (up, down or host)" >&2
    exit 2
    ;;
esac
