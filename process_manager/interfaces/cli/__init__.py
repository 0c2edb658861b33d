"""The command line, `pm`: commands in modules of their own, imported when they are used."""
