// purpose: Items of a data set that have a fact about an entity of a name, whatever its case.
// parameters: name, dataset (strings), types (list of string)
// columns: id
// mode: read
MATCH (e:{{target}})
WHERE toLower(coalesce(e.name, e.title, '')) = toLower($name)
MATCH (e)<-[r]-(i:{{source}})
WHERE type(r) IN $types AND i.dataset = $dataset
RETURN DISTINCT i.id AS id
ORDER BY id
