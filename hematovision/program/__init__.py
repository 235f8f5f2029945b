"""How a script speaks, stops and writes: options and errors, signals, files, journals, figures."""
