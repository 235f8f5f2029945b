"""Fields in, an archive out: splits, background, classes, and the crops that are written."""
