// purpose: Delete relations by their ends.
// parameters: rows (list of {source, target})
// columns: -
// mode: write
UNWIND $rows AS row
MATCH (a:{{source}} {id: row.source})-[r:{{type}}]->(b:{{target}} {id: row.target})
DELETE r
