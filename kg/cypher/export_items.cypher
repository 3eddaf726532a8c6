// purpose: Keys and titles of a data set's items.
// parameters: dataset (string)
// columns: id, title
// mode: read
MATCH (i:{{label}} {dataset: $dataset}) RETURN i.id AS id, i.title AS title
