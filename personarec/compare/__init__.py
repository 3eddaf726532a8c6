"""The comparison: rows declared once, cells that a killed run keeps, one report."""
