"""Chapter 6: Turbo training with token dropout."""
