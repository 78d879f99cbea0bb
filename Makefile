# Three commands, each enough on a fresh machine: make run, make test, make setup.
.PHONY: run test setup quick format evaluation

run: setup
	@.venv/bin/stridor --or-demo

test: setup
	@packaging/check.sh

setup:
	@packaging/setup.sh

# The same checks without the tests marked slow.
quick: setup
	@packaging/check.sh --quick

format: setup
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

# The independent judges of the sound, for `stridor evaluate`; pyworld may need a C++ compiler.
evaluation: setup
	@.venv/bin/python -m pip install --quiet -c packaging/constraints.txt -e '.[dev,evaluation]'
