"""The network for crops, learnt: crops of an archive in, weights and calibration out."""
