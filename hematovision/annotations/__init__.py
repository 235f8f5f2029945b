"""An annotation file in, labelled boxes of pictures out; a room a format."""
