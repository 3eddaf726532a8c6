// purpose: Number of nodes of a label in a data set.
// parameters: dataset (string)
// columns: total
// mode: read
MATCH (n:{{label}} {dataset: $dataset}) RETURN count(n) AS total
