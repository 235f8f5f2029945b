"""A room for each kind of annotation: a document in, labelled boxes out, and back."""
