# make demo   set up .venv and run the whole road on the demo data set, on the embedded engine
# make test   set up .venv and pass every test, those against a real Neo4j among them
.PHONY: demo test slow lint lock docs clean

demo:
	@scripts/setup-env.sh demo
	@.venv/bin/personarec train --dataset demo

# In two processes of one thread each, file by file; each has a Neo4j of its own.
PYTEST_ARGS = -n 2 --dist loadfile
test:
	@scripts/setup-env.sh test
	@$(MAKE) --no-print-directory lint
	@scripts/setup-test-services.sh
	@scripts/setup-browser.sh
	@status=0; OMP_NUM_THREADS=1 .venv/bin/pytest $(PYTEST_ARGS) || status=$$?; \
	  scripts/stop-test-services.sh; exit $$status

slow: PYTEST_ARGS = -m slow
slow: test

lint:
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check -q .
	@.venv/bin/mypy

# The pages into build/site.
docs:
	@scripts/setup-env.sh test
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build -q

lock:
	@scripts/setup-env.sh test
	@.venv/bin/uv pip compile -q --universal --upgrade --all-extras --no-annotate --no-header \
	  pyproject.toml scripts/tools.in -o requirements.lock

clean:
	rm -rf .venv .cache .personarec build *.egg-info .pytest_cache .mypy_cache .ruff_cache
