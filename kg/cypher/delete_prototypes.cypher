// purpose: Delete the prototypes of a persona version, with what they are characterised by.
// parameters: model (string)
// columns: -
// mode: write
MATCH (p:PersonaPrototype {model: $model})
DETACH DELETE p
