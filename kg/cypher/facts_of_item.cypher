// purpose: The facts of an item.
// parameters: item (string), derived (list of string), k (integer)
// columns: relation, id, name
// mode: read
MATCH (i:{{label}} {id: $item})-[r]->(e)
WHERE NOT type(r) IN $derived
RETURN type(r) AS relation, e.id AS id, coalesce(e.name, e.title, e.id) AS name
ORDER BY relation, id
LIMIT $k
