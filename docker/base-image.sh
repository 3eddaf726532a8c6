#!/usr/bin/env bash
# Make a stand-in for the base image of docker/Dockerfile where no image can be pulled: Debian 12
# with its own Python 3.11, by debootstrap, in about a minute.
#
#   base-image.sh [TAG]       default: the image that the Dockerfile starts from
#
# Needs root, debootstrap, the Debian archive and a Docker engine that answers (DOCKER_HOST). Does
# nothing when the engine has the tag. Behind docker/engine.sh, whose containers reach nothing
# outside, build with `docker build --network host` afterwards.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tag=${1:-$(sed -n 's/^FROM //p' "$here/Dockerfile")}
if docker image inspect "$tag" >/dev/null 2>&1; then exit 0; fi
docker version --format '{{.Server.Version}}' >/dev/null
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "base-image.sh: needs root and debootstrap (package debootstrap)" >&2
  exit 1
fi

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
debootstrap --variant=minbase --include=python3,python3-pip,ca-certificates bookworm "$root" >&2
# As in the public image: `python` exists and pip may install beside what the system has.
ln -s python3 "$root/usr/bin/python"
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
# This machine's certificates: a proxy that it trusts is then trusted in the build too.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
tar -C "$root" --exclude=./dev --exclude=./proc --exclude=./sys -c . | docker import - "$tag" >/dev/null
