"""Chapter 3: Memory-augmented Dense Predictive Coding."""
