// purpose: Relations of one type that leave the sources of a batch, each as a list of its ends and the named properties.
// parameters: ids (list of string)
// columns: found
// mode: read
UNWIND $ids AS id
MATCH (a:{{source}} {id: id})-[x:{{type}}]->(b:{{target}})
RETURN collect([a.id, b.id{{columns}}]) AS found
