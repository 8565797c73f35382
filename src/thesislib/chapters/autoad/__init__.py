"""Chapter 8: AutoAD, movie description in context (to come)."""
