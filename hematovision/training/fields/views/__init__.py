"""What the network for fields is shown: windows of fields, other stains, cells laid over."""
