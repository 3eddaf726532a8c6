#!/usr/bin/env bash
# Run a Neo4j Community server from a folder of jars, in the foreground (exec: signals reach the JVM).
#
#   run-jars.sh --jars DIR --home DIR [--data DIR] [--port N] [--listen ADDRESS] [--set KEY=VALUE]...
#
#   --jars     what jars.sh fetched
#   --home     the server's own folder (configuration, logs, data); made when missing
#   --data     the data folder, by default HOME/data
#   --port     Bolt port; 0 or nothing: a free one is chosen and kept in HOME/bolt-port
#   --listen   address to bind, by default 127.0.0.1
#   --set      any neo4j.conf setting; comes last, so it wins over the settings written here
#
#   NEO4J_AUTH  "neo4j/<password>" or "none"; the password takes effect at the first start on a
#               data folder and is ignored on later ones, as with the official image
#   NEO4J_HEAP  largest heap, by default 512m
#
# The same script is the second half of the container's entry point, where only bash and
# the tools named in build-image.sh exist: keep to those.
set -euo pipefail

usage() {
  echo "run-jars.sh: $1 (the head of the script says how it is called)" >&2
  exit 2
}

jars='' home='' data='' port=0 listen=127.0.0.1 settings=()
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage "$1 needs a value"
  case $1 in
    --jars) jars=$2 ;;
    --home) home=$2 ;;
    --data) data=$2 ;;
    --port) port=$2 ;;
    --listen) listen=$2 ;;
    --set) settings+=("$2") ;;
    *) usage "unknown option $1" ;;
  esac
  shift 2
done
[ -d "$jars" ] || usage "--jars: no such folder: '$jars'"
[ -n "$home" ] || usage "--home is missing"

java=java
if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then java=$JAVA_HOME/bin/java; fi

umask 077
mkdir -p "$home"
home=$(cd "$home" && pwd)
jars=$(cd "$jars" && pwd)
data=${data:-$home/data}
mkdir -p "$home"/{conf,logs,run,import,plugins,licenses} "$data"

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

if [ "$port" = 0 ]; then
  if [ -e "$home/bolt-port" ]; then
    port=$(cat "$home/bolt-port")
  else
    port=$((20000 + RANDOM % 10000)) # below the range the kernel hands out to clients
    while port_is_taken "$port"; do port=$((20000 + RANDOM % 10000)); done
  fi
fi
echo "$port" >"$home/bolt-port"

auth_setting=true
case ${NEO4J_AUTH:-} in
  none) auth_setting=false ;;
  neo4j/?*)
    if [ ! -d "$data/databases/system" ]; then
      # auth.ini is the file that `neo4j-admin dbms set-initial-password` leaves for the first
      # start; writing it here saves the start of a second JVM. Its line reads
      # user:SHA-256,<hash>,<salt>,<iterations>: with hash = SHA-256(salt + password).
      salt=$(head -c 32 /dev/urandom | od -An -v -t x1 | tr -d '\n') # " 1f 0a ..."
      hash=$({
        printf '%b' "${salt// /\\x}"
        printf '%s' "${NEO4J_AUTH#neo4j/}"
      } | sha256sum | cut -d ' ' -f 1)
      mkdir -p "$data/dbms"
      echo "neo4j:SHA-256,$hash,${salt// /},1:" >"$data/dbms/auth.ini"
    fi
    ;;
  '')
    [ -d "$data/databases/system" ] || usage "NEO4J_AUTH is needed at the first start"
    ;;
  *) usage "NEO4J_AUTH must be neo4j/<password> or none" ;;
esac
unset NEO4J_AUTH # it must not be readable in the JVM's environment

{
  echo "server.directories.data=$data"
  echo "server.default_listen_address=$listen"
  echo "server.bolt.listen_address=$listen:$port"
  echo "server.http.enabled=false"
  echo "server.memory.pagecache.size=64m"
  echo "dbms.usage_report.enabled=false"
  # Neo4j reserves half a gigabyte for its logs at the first start, and on a disk without that much
  # it dies over the name of a database instead of saying so.
  echo "db.tx_log.preallocate=false"
  echo "dbms.security.auth_enabled=$auth_setting"
} >"$home/conf/neo4j.conf.new"
# Neo4j refuses a key that occurs twice, so a setting given here replaces the line above.
for setting in ${settings[@]+"${settings[@]}"}; do
  [[ $setting == ?*=* ]] || usage "--set wants KEY=VALUE, not '$setting'"
  while IFS= read -r line; do
    [ "${line%%=*}" = "${setting%%=*}" ] || echo "$line"
  done <"$home/conf/neo4j.conf.new" >"$home/conf/neo4j.conf.next"
  echo "$setting" >>"$home/conf/neo4j.conf.next"
  mv "$home/conf/neo4j.conf.next" "$home/conf/neo4j.conf.new"
done
mv "$home/conf/neo4j.conf.new" "$home/conf/neo4j.conf"

echo "Neo4j from $jars: Bolt on $listen:$port, home $home" >&2
# Serial collector and first-tier compiler: a test server lives for minutes on few cores.
exec "$java" -Xmx"${NEO4J_HEAP:-512m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  --add-opens=java.base/java.nio=ALL-UNNAMED \
  --add-opens=java.base/java.io=ALL-UNNAMED \
  --add-opens=java.base/sun.nio.ch=ALL-UNNAMED \
  --add-opens=java.base/java.util.concurrent=ALL-UNNAMED \
  -Dio.netty.tryReflectionSetAccessible=true -Dfile.encoding=UTF-8 -Djava.awt.headless=true \
  -cp "$jars/*" org.neo4j.server.CommunityEntryPoint \
  --home-dir="$home" --config-dir="$home/conf" --console-mode
