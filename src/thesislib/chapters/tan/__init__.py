"""Chapter 7: Temporal Alignment Networks (to come)."""
