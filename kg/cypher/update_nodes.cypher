// purpose: Change properties of nodes that exist.
// parameters: rows (list of {id, properties})
// columns: -
// mode: write
UNWIND $rows AS row
MATCH (n:{{label}} {id: row.id})
SET n += row.properties
