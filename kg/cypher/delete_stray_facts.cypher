// purpose: Delete what the shared nodes of a batch say, unless a data set points to them by now.
// parameters: ids (list of string)
// columns: -
// mode: write
UNWIND $ids AS id
MATCH (n:{{source}} {id: id})-[r:{{type}}]->(:{{target}})
WHERE NOT EXISTS { MATCH (n)<--(m) WHERE m.dataset IS NOT NULL }
DELETE r
