// purpose: Make a persona version the one that readers follow; the atomic switch.
// parameters: dataset, model (strings)
// columns: -
// mode: write
MATCH (d:DataSet {id: $dataset})
SET d.personaModel = $model
