// purpose: Interactions of a batch of users with their ratings, as columns (an unrated one has rating 0).
// parameters: ids (list of string)
// columns: users, items, ratings, rated, timestamps, rows
// mode: read
UNWIND $ids AS id
MATCH (u:User {id: id})-[r:RATED]->(i:{{target}})
RETURN collect(u.id) AS users, collect(i.id) AS items, collect(coalesce(r.rating, 0.0)) AS ratings,
  collect(CASE WHEN r.rating IS NULL THEN 0 ELSE 1 END) AS rated,
  collect(r.timestamp) AS timestamps, collect(r.row) AS rows
