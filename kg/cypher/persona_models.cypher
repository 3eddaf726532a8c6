// purpose: Persona versions of a data set, oldest first.
// parameters: dataset (string)
// columns: id, encoder, dimension, property, index, users, fitted, sequence
// mode: read
MATCH (m:PersonaModel {dataset: $dataset})
RETURN m.id AS id, m.encoder AS encoder, m.dimension AS dimension, m.property AS property, m.index AS index,
  m.users AS users, m.fitted AS fitted, m.sequence AS sequence
ORDER BY sequence, id
