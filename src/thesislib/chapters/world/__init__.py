"""Chapter 1: what the simplest readers make of a data set."""
