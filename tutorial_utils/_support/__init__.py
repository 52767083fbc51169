"""What the other modules share and no lesson calls: cache, downloads, files, checks."""
