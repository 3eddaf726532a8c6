// purpose: Create the relations of a batch that the same transaction, under the lock, found absent.
// parameters: rows (list of {source, target, properties})
// columns: -
// mode: write
UNWIND $rows AS row
MATCH (a:{{source}} {id: row.source})
MATCH (b:{{target}} {id: row.target})
CREATE (a)-[r:{{type}}]->(b)
SET r = row.properties
