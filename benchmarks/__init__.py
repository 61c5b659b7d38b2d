"""What purenet costs and how exact it is, beside its peers: `python -m benchmarks NAME`."""
