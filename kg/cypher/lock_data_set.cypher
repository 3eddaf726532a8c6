// purpose: Take the data set's write lock for this transaction, so that two loads cannot interleave.
// parameters: dataset, token (strings)
// columns: -
// mode: write
MERGE (d:DataSet {id: $dataset})
SET d.lock = $token
