"""Where tables come from: a file for each kind of source. tables.py, above, tells them apart."""
