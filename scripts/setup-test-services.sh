#!/usr/bin/env bash
# Make ready what the tests marked "neo4j" need: a Docker engine that answers and an image of Neo4j
# 5.26 in it, else the jars of Neo4j for a plain process. Quick when all is there already.
#
# Where something is missing, Debian as root installs it (docker.io, a JDK, Maven) and starts a
# private engine, which scripts/stop-test-services.sh stops. Everything has a time-out. When no way
# is left, one loud line says what is missing and the exit status is still 0: the tests then say so
# again, and fail where CI is set.
#
# It writes <cache>/test-services.env, which the tests read:
#   DOCKER_HOST=...  PERSONAREC_TEST_NEO4J_IMAGE=...
#
# Settings: PERSONAREC_CACHE (default .cache), PERSONAREC_TEST_NEO4J_URI (a server of your own: then
# nothing is set up), PERSONAREC_TEST_NEO4J_VIA=container|jars (prepare that way only),
# PERSONAREC_TEST_PULL=no (do not try to pull the image), PERSONAREC_TEST_INSTALL=no (no packages).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PERSONAREC_CACHE=${PERSONAREC_CACHE:-$root/.cache}
mkdir -p "$PERSONAREC_CACHE"
PERSONAREC_CACHE=$(cd "$PERSONAREC_CACHE" && pwd)
env_file=$PERSONAREC_CACHE/test-services.env
log=$PERSONAREC_CACHE/test-services.log
engine=$root/docker/engine.sh
engine_dir=$PERSONAREC_CACHE/docker
image=personarec-neo4j:5.26
public_image=neo4j:5.26-community
via=${PERSONAREC_TEST_NEO4J_VIA:-any}
missing=()
host=''

say() { echo "test services: $*"; }
lacks() {
  local known
  for known in ${missing[@]+"${missing[@]}"}; do
    if [ "$known" = "$*" ]; then return; fi
  done
  missing+=("$*")
}

all_missing() {
  local IFS=';' text
  text="${missing[*]}"
  echo "${text//;/; }"
}

bounded() { # bounded SECONDS COMMAND...: its output goes to the log
  local seconds=$1
  shift
  echo "+ $*" >>"$log"
  if command -v timeout >/dev/null; then
    timeout -k 10 "$seconds" "$@" >>"$log" 2>&1 </dev/null 9>&-
  else
    "$@" >>"$log" 2>&1 </dev/null 9>&-
  fi
}

# --- packages ------------------------------------------------------------------------------------

can_install() {
  [ "${PERSONAREC_TEST_INSTALL:-yes}" != no ] && [ "$(id -u)" = 0 ] &&
    [ -e /etc/debian_version ] && command -v apt-get >/dev/null
}

why_not_install() {
  if [ "${PERSONAREC_TEST_INSTALL:-yes}" = no ]; then
    echo "PERSONAREC_TEST_INSTALL=no"
  elif [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
    echo "not Debian, so not installed here"
  elif [ "$(id -u)" != 0 ]; then
    echo "not root, so not installed here"
  else
    echo "apt-get failed, see $log"
  fi
}

lists_are_fresh=no
install() { # install WHAT PACKAGE...; of "a|b" the first that this release has
  local what=$1 wanted choice names=()
  shift
  if ! can_install; then return 1; fi
  export DEBIAN_FRONTEND=noninteractive
  local options=(-o DPkg::Lock::Timeout=60 -o Acquire::http::Timeout=20 -o Acquire::Retries=2)
  if [ "$lists_are_fresh" = no ]; then
    say "reading the package lists"
    bounded 180 apt-get "${options[@]}" update || true # old lists may still do
    lists_are_fresh=yes
  fi
  for wanted in "$@"; do
    for choice in ${wanted//|/ }; do
      if apt-cache show --no-all-versions "$choice" >/dev/null 2>&1; then
        names+=("$choice")
        break
      fi
    done
  done
  say "installing $what (${names[*]})"
  bounded 600 apt-get "${options[@]}" install --yes --no-install-recommends "${names[@]}"
}

java_fits() { # Java 17 or 21 runs Neo4j 5.26
  java -version 2>&1 | grep -qE 'version "(17|21)[.+"]'
}

jdk_fits() { # jlink alone is not enough: it reads the jmods of its own JDK
  local jlink
  java_fits && jlink=$(type -P jlink) && [ -n "$jlink" ] || return 1
  [ -d "$(dirname "$(dirname "$(readlink -f "$jlink")")")/jmods" ]
}

have_jdk() {
  if jdk_fits; then return; fi
  install "a JDK" ca-certificates "openjdk-17-jdk-headless|openjdk-21-jdk-headless" && jdk_fits && return
  lacks "a JDK 17 or 21 with jlink and jmods ($(why_not_install))"
  return 1
}

have_maven() {
  if command -v mvn >/dev/null; then return; fi
  install Maven ca-certificates maven && command -v mvn >/dev/null && return
  lacks "Maven ($(why_not_install))"
  return 1
}

# --- the engine ----------------------------------------------------------------------------------

engine_answers() { # engine_answers [HOST]
  command -v docker >/dev/null || return 1
  if [ -n "${1:-}" ]; then
    DOCKER_HOST=$1 bounded 10 docker version
  else
    bounded 10 docker version
  fi
}

find_engine() { # sets host
  if engine_answers; then
    # The command line also knows contexts, which other clients do not: name the address.
    host=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)}
    host=${host:-unix:///var/run/docker.sock}
    say "a Docker engine answers at $host"
    return
  fi
  if [ "$(uname -s)" = Linux ]; then
    host=$("$engine" host "$engine_dir")
    if engine_answers "$host"; then
      say "the private Docker engine answers at $host"
      return
    fi
  fi
  if [ "$(id -u)" != 0 ] || [ "$(uname -s)" != Linux ]; then
    lacks "a Docker engine that answers (not root on Linux, so none is started here)"
    return 1
  fi
  PATH=$PATH:/usr/sbin:/sbin
  if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    if ! install Docker docker.io docker-cli iproute2; then
      lacks "Docker ($(why_not_install))"
      return 1
    fi
    if engine_answers; then # the package starts one where systemd runs
      host=${DOCKER_HOST:-unix:///var/run/docker.sock}
      say "the installed Docker engine answers at $host"
      return
    fi
  fi
  if bounded 60 "$engine" up "$engine_dir"; then
    host=$("$engine" host "$engine_dir")
    say "started a private Docker engine at $host"
    return
  fi
  lacks "a Docker engine: a private one did not start, see $engine_dir/dockerd.log"
  return 1
}

# --- the image and the jars ----------------------------------------------------------------------

image_fits() { # a pulled one, or one built from the files as they are now
  local recipe
  recipe=$(docker image inspect \
    --format '{{index .Config.Labels "personarec.recipe"}}' "$image" 2>/dev/null) || return 1
  [ -z "$recipe" ] || [ "$recipe" = "$("$root/docker/neo4j/build-image.sh" --recipe)" ]
}

find_image() {
  export DOCKER_HOST=$host
  if image_fits; then
    say "the image $image is there"
    return
  fi
  if [ "${PERSONAREC_TEST_PULL:-yes}" != no ]; then
    if bounded 300 docker pull "$public_image" && bounded 10 docker tag "$public_image" "$image"; then
      say "pulled $public_image as $image"
      return
    fi
    say "$public_image cannot be pulled here; building an image from Neo4j's jars instead"
  fi
  have_jdk && have_maven && find_jars || return 1
  if bounded 300 "$root/docker/neo4j/build-image.sh" "$image"; then
    say "built the image $image"
    return
  fi
  lacks "the image $image: building it failed, see $log"
  return 1
}

find_jars() {
  # A JRE runs the jars, but the package with the fitting JDK serves the image too.
  java_fits || have_jdk || return 1
  local before=$SECONDS
  if ! compgen -G "$PERSONAREC_CACHE/neo4j/jars-*" >/dev/null; then
    have_maven || return 1
    say "fetching Neo4j's jars (about 120 MB)"
  fi
  if bounded 620 "$root/docker/neo4j/jars.sh"; then
    say "Neo4j's jars are there ($((SECONDS - before)) s)"
    return
  fi
  lacks "Neo4j's jars: fetching them failed, see $log"
  return 1
}

# --- the way -------------------------------------------------------------------------------------

write_env() {
  printf '%s\n' "# Written by scripts/setup-test-services.sh; removed by stop-test-services.sh." "$@" \
    >"$env_file.new"
  mv "$env_file.new" "$env_file"
}

if [ -n "${PERSONAREC_TEST_NEO4J_URI:-}" ]; then
  say "PERSONAREC_TEST_NEO4J_URI names a server; nothing to set up"
  exit 0
fi

# One at a time: two test runs in one checkout would install and build the same things.
if command -v flock >/dev/null; then
  exec 9>"$PERSONAREC_CACHE/test-services.lock"
  if ! flock -w 900 9; then
    say "!! another run has held $PERSONAREC_CACHE/test-services.lock for 15 minutes; going on without"
    exit 0
  fi
fi
: >"$log"

if [ "$via" != jars ] && find_engine && find_image; then
  write_env "DOCKER_HOST=$host" "PERSONAREC_TEST_NEO4J_IMAGE=$image"
  say "ready: Neo4j runs as a container"
elif [ "$via" != container ] && find_jars; then
  write_env
  note=''
  if [ ${#missing[@]} -gt 0 ]; then note=" (no container: $(all_missing))"; fi
  say "ready: Neo4j runs as a plain process from its jars$note"
else
  write_env
  say "!! NO NEO4J FOR THE TESTS. Missing: $(all_missing)." \
    "Or name a server in PERSONAREC_TEST_NEO4J_URI."
fi
