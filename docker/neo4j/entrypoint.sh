#!/bin/bash
# Entry point of the locally built image: the official image's environment, turned into options.
#
#   NEO4J_AUTH=neo4j/<password> | none
#   NEO4J_server_memory_heap_max__size=512m      becomes the heap of the JVM
#   NEO4J_some_key__with_underscore=value        becomes some.key_with_underscore=value
set -euo pipefail

options=()
for name in "${!NEO4J_@}"; do
  value=${!name}
  case $name in
    NEO4J_server_memory_heap_max__size) export NEO4J_HEAP=$value ;;
    NEO4J_server_memory_heap_initial__size) ;; # the JVM grows by itself
    NEO4J_db_* | NEO4J_dbms_* | NEO4J_initial_* | NEO4J_internal_* | NEO4J_server_*)
      key=${name#NEO4J_}
      key=${key//__/$'\n'}
      key=${key//_/.}
      options+=(--set "${key//$'\n'/_}=$value")
      ;;
  esac
done

# HTTP stays on here: testcontainers waits for its "Remote interface available" line.
exec bash /neo4j/run-jars.sh --jars /neo4j/lib --home /neo4j/home --data /data \
  --listen 0.0.0.0 --port 7687 --set server.http.enabled=true \
  --set server.http.listen_address=0.0.0.0:7474 ${options[@]+"${options[@]}"}
