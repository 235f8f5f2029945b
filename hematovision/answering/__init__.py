"""Pictures and a model in; answers, tables, drawn fields and datasets out."""
