"""A film's sound with descriptions in it, taken apart: who says what when (thesis 8.4, 8.5)."""
