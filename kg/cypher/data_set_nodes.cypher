// purpose: Keys of a data set's nodes of one label.
// parameters: dataset (string)
// columns: id
// mode: read
MATCH (n:{{label}} {dataset: $dataset}) RETURN n.id AS id
