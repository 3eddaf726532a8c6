// purpose: Characteristic facts of the prototypes of a persona version, the most characteristic first.
// parameters: model (string)
// columns: prototype, relation, name, id, share, lift, p, rank
// mode: read
MATCH (p:PersonaPrototype {model: $model})-[c:CHARACTERISED_BY]->(e)
RETURN p.id AS prototype, c.relation AS relation, coalesce(e.name, e.title, e.id) AS name, e.id AS id,
  c.share AS share, c.lift AS lift, c.p AS p, c.rank AS rank
ORDER BY prototype, rank, id
