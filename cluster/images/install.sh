#!/usr/bin/env bash
# Installs this package and what it needs, at the versions of constraints.txt, into a virtual environment, and checks
# that it came alive. The Dockerfile, the `ray up` files and people on their own machines call it.
#
#   cluster/images/install.sh FOLDER       makes FOLDER, or goes on with the environment that is there
#
# PYTHON       interpreter of a new environment (default python3)
# TORCH_INDEX  index of PyTorch's wheels where not pip's own, such as the one of CPU builds
# EXTRAS       optional dependencies, comma-separated
set -euo pipefail

folder=$(realpath -m "${1:?usage: install.sh FOLDER}")
source=$(cd "$(dirname "$0")/../.." && pwd)
torch=$(sed -n 's/^TORCH := //p' "$source/Makefile")
python=$folder/bin/python
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

pip() { "$python" -m pip --disable-pip-version-check "$@"; }
install() { pip install --quiet --no-cache-dir --constraint "$source/constraints.txt" "$@"; }

[ -x "$python" ] || "${PYTHON:-python3}" -m venv "$folder"

: "${torch:?no TORCH in $source/Makefile}"
[ -z "${TORCH_INDEX:-}" ] || install --index-url "$TORCH_INDEX" "$torch"
# Of a copy, since setuptools writes beside what it builds; of a folder, since pip leaves a wheel of a version that is
# there already alone.
cp -R "$source/pyproject.toml" "$source/README.md" "$source/LICENSE" "$source/halluc_ray" "$source/jobs" "$copy"
install "$torch" "$copy${EXTRAS:+[$EXTRAS]}"

cd / # so that what is imported is what was installed
pip check
"$python" -c 'import halluc_ray, jobs.evaluate, jobs.nightly, ray, torch'
"$folder/bin/halluc-ray" --version
