// purpose: Items of a data set that have a fact about an entity, through any of some relations.
// parameters: entity, dataset (strings), types (list of string)
// columns: id
// mode: read
MATCH (e:{{target}} {id: $entity})<-[r]-(i:{{source}})
WHERE type(r) IN $types AND i.dataset = $dataset
RETURN DISTINCT i.id AS id
ORDER BY id
