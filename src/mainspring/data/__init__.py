"""From a folder, a database or a function to a typed table, its schema, and the rows that are held out.

readers     where the data is:      files, a database, a function      → a typed Arrow table
parsing     what untyped text means: "1.5", "true", "2024-05-01"
kinds       what each column is:     number, category, time, …          → the schema
conform     a table against a schema                                    → columns, as the graph takes them
splits      which rows are held out, and the folds of the rest
dataset     all of it together: `load(project, model)`
"""
