// purpose: Wait for the data set's write lock and hold it, before looking at who held it last.
// parameters: dataset, token (strings)
// columns: -
// mode: write
MERGE (d:DataSet {id: $dataset})
SET d.taken = $token
