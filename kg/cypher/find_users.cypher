// purpose: Users of a data set whose key contains a text.
// parameters: dataset, text (strings), k (integer)
// columns: id
// mode: read
MATCH (u:User {dataset: $dataset})
WHERE toLower(u.id) CONTAINS $text
RETURN u.id AS id
ORDER BY id
LIMIT $k
