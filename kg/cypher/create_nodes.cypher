// purpose: Create the nodes of a batch that the same transaction found absent.
// parameters: rows (list of [id, value of each property]), load (string)
// columns: -
// mode: write
UNWIND $rows AS row
WITH row WHERE row[0] IS NOT NULL
CREATE (n:{{label}} {id: row[0], loadId: $load{{values}}})
