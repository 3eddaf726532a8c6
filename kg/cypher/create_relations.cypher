// purpose: Create the relations of a batch that the same transaction, under the lock, found absent; none where a target is absent.
// parameters: targets (list of string), sources (list of [source, list of [place of the target in targets, value of each property]]), load (string)
// columns: -
// mode: write
UNWIND $targets AS id
MATCH (b:{{target}} {id: id})
WITH collect(b) AS ends, collect(b.id) AS found
WHERE found = $targets
UNWIND $sources AS part
MATCH (a:{{source}} {id: part[0]})
UNWIND part[1] AS row
WITH a, ends[row[0]] AS b, row
CREATE (a)-[r:{{type}} {loadId: $load{{values}}}]->(b)
