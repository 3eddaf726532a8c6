#!/usr/bin/env bash
# Build a Neo4j Community image on this machine, without pulling one.
#
#   build-image.sh [TAG]       default: personarec-neo4j:5.26
#   build-image.sh --recipe    print the checksum of what the image is made by
#
# Needs Linux, a Docker engine that answers (DOCKER_HOST), a JDK 17 or 21 with its jmods, and what
# jars.sh needs. The image holds the jars, a Java run time made by jlink, bash and a few tools with
# the shared libraries they load. It is labelled with the recipe's checksum; when the engine has the
# tag with that label already, nothing is done.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PERSONAREC_CACHE:-$here/../../.cache}
tag=${1:-personarec-neo4j:5.26}

recipe=$(cat "$here"/{pom.xml,Dockerfile,build-image.sh,entrypoint.sh,run-jars.sh} | cksum | cut -d ' ' -f 1)
if [ "$tag" = --recipe ]; then
  echo "$recipe"
  exit 0
fi
label='{{index .Config.Labels "personarec.recipe"}}'
if [ "$(docker image inspect --format "$label" "$tag" 2>/dev/null)" = "$recipe" ]; then exit 0; fi

jlink=jlink
if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/jlink" ]; then jlink=$JAVA_HOME/bin/jlink; fi
if ! command -v "$jlink" >/dev/null; then
  echo "build-image.sh: no jlink: a JDK (not only a JRE) of Java 17 or 21 is needed" >&2
  exit 1
fi

jars=$("$here/jars.sh")
mkdir -p "$cache/neo4j"
context=$(mktemp -d "$(cd "$cache/neo4j" && pwd)/image.XXXXXX")
trap 'rm -rf "$context"' EXIT
root=$context/rootfs
mkdir -p "$root"/{bin,usr/bin,tmp,etc,opt,neo4j} "$context/data" "$context/home"
chmod 755 "$context"/* "$root"/*
chmod 1777 "$root/tmp"

# java.se is the whole standard edition; the jdk.* modules are those Neo4j and netty look for.
# Native symbols are left alone: stripping them would call for binutils.
"$jlink" --output "$root/opt/jre" --strip-java-debug-attributes --no-header-files --no-man-pages \
  --add-modules java.se,jdk.charsets,jdk.crypto.ec,jdk.httpserver,jdk.jfr,jdk.management,jdk.management.agent,jdk.naming.dns,jdk.net,jdk.nio.mapmode,jdk.unsupported,jdk.zipfs
"$root/opt/jre/bin/java" -Xshare:dump >/dev/null # the class archive that jlink does not make

# What run-jars.sh calls, what a health check may call (bash, timeout), and ls for a curious person.
tools=(bash cat cut head ls mkdir mv od sha256sum timeout tr)
for tool in "${tools[@]}"; do
  cp -L "$(type -P "$tool")" "$root/bin/$tool"
done
ln -s bash "$root/bin/sh"
ln -s /bin/bash "$root/usr/bin/bash"

# Every library those load, at the place where the loader will look for it. Desktop libraries of
# the run time that this machine cannot resolve itself are not needed by a server.
while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done < <(
  {
    for tool in "${tools[@]}"; do ldd "$root/bin/$tool"; done
    ldd "$root/opt/jre/bin/java"
    find "$root/opt/jre" -name '*.so' -exec ldd {} \;
  } 2>/dev/null | grep -oE '/[^ ()]+' | grep -vF "$root" | grep -v ':$' | sort -u
)
# Loaded by name at run time, so ldd does not show them (older C libraries keep them apart).
loader_dir=$(dirname "$(ldd "$root/bin/bash" | grep -oE '/[^ ]*libc\.so[^ ]*')")
for library in libgcc_s.so.1 libstdc++.so.6 libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
  for from in "$loader_dir/$library" "/usr$loader_dir/$library"; do
    if [ -e "$from" ]; then cp -L "$from" "$root$loader_dir/$library" && break; fi
  done
done

printf 'root:x:0:0:root:/:/bin/bash\nneo4j:x:7474:7474:neo4j:/neo4j/home:/bin/bash\n' >"$root/etc/passwd"
printf 'root:x:0:\nneo4j:x:7474:\n' >"$root/etc/group"
# No DNS: Neo4j asks for the name of 0.0.0.0 when it starts, and behind the private engine, which
# gives containers no way out, every such question takes ten seconds to fail.
echo 'hosts: files' >"$root/etc/nsswitch.conf"

mkdir "$root/neo4j/lib"
cp -l "$jars"/*.jar "$root/neo4j/lib/" 2>/dev/null || cp "$jars"/*.jar "$root/neo4j/lib/"
install -m 755 "$here/entrypoint.sh" "$here/run-jars.sh" "$root/neo4j/"
install -m 644 "$here/Dockerfile" "$context/Dockerfile"
chmod -R a+rX "$root"

docker build --quiet --tag "$tag" --label "personarec.recipe=$recipe" "$context" >/dev/null
# What had this tag before, built from an older recipe.
docker image prune --force --filter label=personarec.recipe >/dev/null
