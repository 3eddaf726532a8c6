// purpose: Create the nodes of a batch.
// parameters: rows (list of {id, properties})
// columns: -
// mode: write
UNWIND $rows AS row
WITH row WHERE row.id IS NOT NULL
MERGE (n:{{label}} {id: row.id})
SET n += row.properties
