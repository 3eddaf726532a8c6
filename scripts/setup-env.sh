#!/bin/sh
# Set up .venv with everything the demo and the tests need, at the versions of requirements.lock.
#
#   scripts/setup-env.sh demo|test
#
# torch from the package index is the CUDA build, several GB with its libraries; a CPU build is
# tried first, in the way that uv knows, and taken where it can be had. Quick when all is there.
# Settings: PYTHON (which interpreter), TORCH_BACKEND (cpu, auto, cu128, …; "index" for the index).
set -eu
cd "$(dirname "$0")/.."
kind=${1:-demo}
case $kind in
demo) extras=train,serve ;;
test) extras=train,dgl,docs,notebook,report,serve,spark,text,tune,test,dev ;;
*) echo "usage: scripts/setup-env.sh demo|test" >&2; exit 2 ;;
esac

stamp=.venv/.personarec-$kind
want=$(cat pyproject.toml requirements.lock scripts/setup-env.sh | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then exit 0; fi

find_python() {
  for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "setup: needs Python 3.11 or newer; install it, or name one with PYTHON=…" >&2
  exit 1
}

if [ ! -x .venv/bin/pip ] && [ ! -x .venv/bin/uv ]; then
  python=$(find_python)
  echo "setup: making .venv with $python" >&2
  if ! "$python" -m venv .venv >/dev/null 2>&1; then
    # Debian ships venv apart from Python.
    rm -rf .venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
      version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
      echo "setup: installing python$version-venv" >&2
      (apt-get update -q && apt-get install -y -q "python$version-venv") >&2
      "$python" -m venv .venv
    else
      echo "setup: $python has no venv module; install it (Debian: apt-get install python3-venv)" >&2
      exit 1
    fi
  fi
fi
if [ ! -x .venv/bin/uv ]; then
  .venv/bin/pip install -q --disable-pip-version-check -c requirements.lock uv
fi

export VIRTUAL_ENV="$PWD/.venv"
backend=${TORCH_BACKEND:-cpu}
if [ "$backend" != index ] && ! .venv/bin/uv pip show -q torch 2>/dev/null; then
  torch=$(grep '^torch==' requirements.lock | cut -d' ' -f1)
  if timeout 900 .venv/bin/uv pip install -q --torch-backend "$backend" "$torch" 2>/dev/null; then
    echo "setup: took torch for $backend" >&2
  else
    echo "setup: no torch build for $backend within reach, taking the package index's (3 GB)" >&2
  fi
fi
# The lock constrains versions and does not list what to install: a CPU torch needs no CUDA.
echo "setup: installing personarec[$extras]" >&2
.venv/bin/uv pip install -q --compile-bytecode -c requirements.lock -e ".[$extras]"
echo "$want" >"$stamp"
