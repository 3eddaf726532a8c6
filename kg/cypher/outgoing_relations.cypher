// purpose: A node's outgoing relations by type, and the strongest few nodes they lead to.
// parameters: id, model (strings), k, most (integers)
// columns: relation, total, label, id, name, strength, through
// mode: read
MATCH (n:{{label}} {id: $id})-[r]->(m)
WHERE coalesce(r.model, m.model, $model) = $model
WITH type(r) AS relation, labels(m) AS labels, m.id AS id, coalesce(m.name, m.title) AS name,
  max(coalesce(r.weight, r.share, r.gap1, r.timestamp, 0)) AS strength, min(r.relation) AS through
ORDER BY strength DESC, id LIMIT $most
WITH relation, count(id) AS total, collect([labels[0], id, name, strength, through]) AS all
UNWIND all[0..$k] AS one
RETURN relation, total, one[0] AS label, one[1] AS id, one[2] AS name, one[3] AS strength,
  one[4] AS through
