"""Video files to batches: reading, clip sampling, augmentation, manifests."""
