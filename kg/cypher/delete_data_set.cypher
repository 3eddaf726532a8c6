// purpose: Forget a data set; the last step of its removal.
// parameters: dataset (string)
// columns: -
// mode: write
MATCH (d:DataSet {id: $dataset}) DELETE d
