#!/usr/bin/env bash
# Fetch the jars of Neo4j Community into DIR, once. Needs Maven and Java 17 or 21.
#
#   jars.sh [DIR]      default: <cache>/neo4j/jars-<version>; prints DIR on stdout
#
# DIR is made by one rename, so a DIR that exists is complete. The version is the one in pom.xml.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PERSONAREC_CACHE:-$here/../../.cache}
version=$(sed -n 's:.*<neo4j.version>\(.*\)</neo4j.version>.*:\1:p' "$here/pom.xml")
dir=${1:-$cache/neo4j/jars-$version}

mkdir -p "$(dirname "$dir")"
dir=$(cd "$(dirname "$dir")" && pwd)/$(basename "$dir")
if [ -d "$dir" ]; then
  if [ ! -e "$dir/neo4j-$version.jar" ]; then
    echo "jars.sh: $dir exists but holds no neo4j-$version.jar; remove it or name another folder" >&2
    exit 1
  fi
  echo "$dir"
  exit 0
fi

if ! command -v mvn >/dev/null; then
  echo "jars.sh: mvn (Maven) is not installed" >&2
  exit 1
fi

part=$dir.part.$$
trap 'rm -rf "$part"' EXIT
bounded=()
if command -v timeout >/dev/null; then bounded=(timeout -k 10 "${PERSONAREC_FETCH_TIMEOUT:-600}"); fi
# The first two time-outs are Maven 3.8's names, the others those of 3.9 and later (milliseconds).
"${bounded[@]}" mvn --batch-mode --quiet --file "$here/pom.xml" \
  -Dmaven.wagon.http.connectionTimeout=15000 -Dmaven.wagon.rto=30000 \
  -Daether.connector.connectTimeout=15000 -Daether.connector.requestTimeout=30000 \
  dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$part" >&2

if [ ! -e "$part/neo4j-$version.jar" ]; then
  echo "jars.sh: Maven ended without an error but brought no neo4j-$version.jar" >&2
  exit 1
fi
# Another run may have won the race: then its folder stays, and ours goes with the trap.
# (mv into an existing folder would nest it, hence the test; -T is not in every mv.)
[ -d "$dir" ] || mv "$part" "$dir"
echo "$dir"
