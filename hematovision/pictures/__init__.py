"""A file in, a picture out: RGB uint8 (height, width, 3); its header, its frame, its twins."""
