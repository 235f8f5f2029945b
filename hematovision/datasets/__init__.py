"""Folders of pictures and annotations in, fields with their boxes out."""
