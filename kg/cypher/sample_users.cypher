// purpose: Some users of a data set, for a hint.
// parameters: dataset (string)
// columns: id
// mode: read
MATCH (u:User {dataset: $dataset}) RETURN u.id AS id ORDER BY id LIMIT 3
