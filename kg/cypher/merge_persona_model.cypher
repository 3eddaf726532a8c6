// purpose: Record a persona version, or how far it has come.
// parameters: id (string), properties (map)
// columns: -
// mode: write
MERGE (m:PersonaModel {id: $id})
SET m += $properties
