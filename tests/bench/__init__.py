"""The benches: `make bench`, or `python -m tests.bench --help`. What each measures stands in docs/performance.md."""
