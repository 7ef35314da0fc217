"""The command line: a client of the door, and the one who starts and stops it."""
