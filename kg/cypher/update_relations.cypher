// purpose: Change properties of relations that exist.
// parameters: rows (list of {source, target, properties})
// columns: -
// mode: write
UNWIND $rows AS row
MATCH (a:{{source}} {id: row.source})-[r:{{type}}]->(b:{{target}} {id: row.target})
SET r += row.properties
