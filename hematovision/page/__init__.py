"""A model in, one page that counts out."""
