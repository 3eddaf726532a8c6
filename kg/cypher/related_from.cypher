// purpose: Properties of a node's incoming relations of a type, and the nodes they leave.
// parameters: id (string)
// columns: properties, node, id
// mode: read
MATCH (n:{{label}} {id: $id})<-[r:{{type}}]-(m)
RETURN properties(r) AS properties, m AS node, m.id AS id
ORDER BY id
