"""Persona encoders: item-space vectors or facts, and a rule that makes a persona of items seen."""
