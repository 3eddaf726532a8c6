// purpose: Record a complete persona version.
// parameters: id (string), properties (map)
// columns: -
// mode: write
MERGE (m:PersonaModel {id: $id})
SET m += $properties
