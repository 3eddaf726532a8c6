// purpose: Keys of a data set's users.
// parameters: dataset (string)
// columns: id
// mode: read
MATCH (u:User {dataset: $dataset}) RETURN u.id AS id
