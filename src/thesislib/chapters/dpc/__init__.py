"""Chapter 2: Dense Predictive Coding."""
