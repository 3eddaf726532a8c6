// purpose: Paths from items read to an item through a fact they share.
// parameters: read (list of string), item (string), derived (list of string)
// columns: source, sourceTitle, relation, fact, factName, target
// mode: read
MATCH (b:{{label}} {id: $item})-[q]->(e)<-[p]-(a:{{label}})
WHERE a.id IN $read AND type(p) = type(q) AND NOT type(p) IN $derived
RETURN a.id AS source, a.title AS sourceTitle, type(p) AS relation, e.id AS fact,
  coalesce(e.name, e.title, e.id) AS factName, b.id AS target
ORDER BY source, relation, fact
