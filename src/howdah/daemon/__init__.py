"""The process around it all: `python -m howdah.daemon up|down|status`, started by the command line."""
