"""Benchmarks: howdah against plain SQL and Ansible on one server, in one run. `make bench` runs them."""
