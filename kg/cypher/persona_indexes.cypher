// purpose: Vector indexes of all persona versions, and the user property each is over.
// parameters: -
// columns: dataset, index, property
// mode: read
MATCH (m:PersonaModel) WHERE m.index IS NOT NULL
RETURN m.dataset AS dataset, m.index AS index, m.property AS property
