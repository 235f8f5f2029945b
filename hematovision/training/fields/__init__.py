"""The network for fields, learnt: fields of an archive in, weights and thresholds out."""
