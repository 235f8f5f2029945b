"""An annotation file in, labelled boxes of pictures out, whatever the format.

`formats/` has a room for each; what they share lies here.
"""
