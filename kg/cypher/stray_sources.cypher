// purpose: Shared nodes that say something of another shared node, and that no data set points to.
// parameters: -
// columns: id
// mode: read
MATCH (n:{{source}})-[:{{type}}]->(:{{target}})
WHERE NOT EXISTS { MATCH (n)<--(m) WHERE m.dataset IS NOT NULL }
RETURN DISTINCT n.id AS id
