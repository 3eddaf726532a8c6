// purpose: Let no reader find a data set that is about to be removed.
// parameters: dataset (string)
// columns: -
// mode: write
MATCH (d:DataSet {id: $dataset})
SET d.domain = null, d.contentHash = null, d.personaModel = null
