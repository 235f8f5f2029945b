"""The files of a folder in, each picture with what was annotated in it out."""
