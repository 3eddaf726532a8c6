// purpose: Prototypes of a persona version, those with most readers first.
// parameters: model (string)
// columns: id, name, rank, size, x, y
// mode: read
MATCH (p:PersonaPrototype {model: $model})
RETURN p.id AS id, p.name AS name, p.rank AS rank, p.size AS size, p.x AS x, p.y AS y
ORDER BY rank, id
