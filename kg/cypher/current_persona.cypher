// purpose: The persona version that readers follow.
// parameters: dataset (string)
// columns: id, encoder, dimension, users, fitted
// mode: read
MATCH (d:DataSet {id: $dataset})
MATCH (m:PersonaModel {id: d.personaModel})
RETURN m.id AS id, m.encoder AS encoder, m.dimension AS dimension, m.users AS users, m.fitted AS fitted
