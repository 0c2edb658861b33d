"""One file or folder for each outside thing: it translates and decides nothing."""
