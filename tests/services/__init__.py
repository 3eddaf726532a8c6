"""Servers that tests talk to: each made for the run, or named in the environment."""
