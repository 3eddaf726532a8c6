// purpose: How well the prototypes of a persona version agree when readers are redrawn.
// parameters: model (string)
// columns: agreement
// mode: read
MATCH (m:PersonaModel {id: $model}) RETURN m.agreement AS agreement
