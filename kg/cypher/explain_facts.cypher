// purpose: Which of some items have which of some facts.
// parameters: items, types, facts (lists of string)
// columns: item, relation, fact, name
// mode: read
UNWIND $items AS item
MATCH (i:{{label}} {id: item})-[r]->(e)
WHERE type(r) IN $types AND e.id IN $facts
RETURN i.id AS item, type(r) AS relation, e.id AS fact, coalesce(e.name, e.title, e.id) AS name
ORDER BY item, relation, fact
