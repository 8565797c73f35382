"""Chapter 5: prompting image-text models for video."""
