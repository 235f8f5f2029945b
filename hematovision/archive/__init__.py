"""preprocessed_data.npz: a file, or several parts, in; checked arrays and metadata out."""
