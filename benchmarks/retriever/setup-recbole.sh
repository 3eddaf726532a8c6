#!/bin/sh
# Make an environment with RecBole under .cache/recbole and print its interpreter.
#
#   benchmarks/retriever/setup-recbole.sh
#
# RecBole 1.2.1 runs with neither numpy 2 nor what came after these versions, so it cannot share
# this project's environment. torch is the version of requirements.lock, so that both sides of the
# comparison run on the same; a CPU build is tried first, as scripts/setup-env.sh does. Quick when
# all is there. Settings: PYTHON (an interpreter of 3.11), TORCH_BACKEND (as there).
set -eu
cd "$(dirname "$0")/../.."
uv="$PWD/.venv/bin/uv"
if [ ! -x "$uv" ]; then
  echo "setup: needs $uv; run scripts/setup-env.sh first" >&2
  exit 1
fi
folder=.cache/recbole
stamp=$folder/ready
torch=$(grep '^torch==' requirements.lock | cut -d' ' -f1)
want="$torch $(cksum <benchmarks/retriever/setup-recbole.sh)"
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$want" ]; then
  "$uv" venv -q --clear --python "${PYTHON:-3.11}" "$folder"
  export VIRTUAL_ENV="$PWD/$folder"
  backend=${TORCH_BACKEND:-cpu}
  if [ "$backend" = index ] ||
    ! timeout 900 "$uv" pip install -q --torch-backend "$backend" "$torch" "numpy==1.26.4" 2>/dev/null; then
    echo "setup: taking the package index's torch (3 GB)" >&2
  fi
  # ray only tunes hyperparameters, and it is imported by name alone: the full set is installed.
  "$uv" pip install -q "$torch" "recbole==1.2.1" "ray==2.6.3" "setuptools==79.0.1" \
    "numpy==1.26.4" "pandas==2.2.3" "scipy==1.13.1"
  "$folder/bin/python" -c "import recbole.quick_start" >&2
  echo "$want" >"$stamp"
fi
echo "$folder/bin/python"
