"""Encoders that a trained one must beat: controls that know nothing, and strong simple models."""
