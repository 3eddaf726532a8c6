// purpose: Delete the relations, of whatever type, that leave the nodes of a batch.
// parameters: ids (list of string)
// columns: -
// mode: write
UNWIND $ids AS id
MATCH (a:{{label}} {id: id})-[r]->(b)
DELETE r
