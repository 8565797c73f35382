"""Chapter 4: InfoNCE, UberNCE and CoCLR."""
