// purpose: Forget a persona version.
// parameters: id (string)
// columns: -
// mode: write
MATCH (m:PersonaModel {id: $id}) DELETE m
