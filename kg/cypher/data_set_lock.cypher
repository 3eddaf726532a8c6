// purpose: The token of the batch that wrote last to a data set: it changes with every write.
// parameters: dataset (string)
// columns: lock
// mode: read
MATCH (d:DataSet {id: $dataset}) RETURN d.lock AS lock
