"""What the four scripts share, one noun a room; see each room's first line."""
