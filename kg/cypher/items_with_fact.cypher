// purpose: Items of a data set that have a fact.
// parameters: entity, dataset (strings)
// columns: id
// mode: read
MATCH (e:{{target}} {id: $entity})<-[:{{type}}]-(i:{{source}})
WHERE i.dataset = $dataset
RETURN DISTINCT i.id AS id
ORDER BY id
