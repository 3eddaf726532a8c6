// purpose: Persona versions of a data set, oldest first.
// parameters: dataset (string)
// columns: id, encoder, dimension, users, fitted, sequence, status
// mode: read
MATCH (m:PersonaModel {dataset: $dataset})
RETURN m.id AS id, m.encoder AS encoder, m.dimension AS dimension, m.users AS users, m.fitted AS fitted,
  m.sequence AS sequence, m.status AS status
ORDER BY sequence, id
