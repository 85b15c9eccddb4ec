#!/bin/sh
# Submits a suite's night as a Ray job, waits for its end, and ends with the night's own exit code.
#
#   night.sh SUITE [--date YYYY-MM-DD] [--set KEY=VALUE]...
#
# Without --date it is today's in UTC, settled when this starts: a job that waits past midnight still runs the night
# that was due. A night that ends incomplete (4), or whose end could not be learnt, is submitted again: TRIES
# times in all (3), with PAUSE seconds between them (60). What was committed is not done twice.
#
# Needs `ray` on the path, RAY_API_SERVER_ADDRESS, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH. The folder that is sent
# along is WORKING_DIR, by default the repository that this file lies in.
set -eu

[ $# -ge 1 ] || { echo "usage: night.sh SUITE [--date YYYY-MM-DD] [--set KEY=VALUE]..." >&2; exit 2; }
case " $* " in
    *" --date "* | *" --date="*) ;;
    *) set -- "$@" --date "$(date -u +%F)" ;;
esac

here=$(cd "$(dirname "$0")/../.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Ray's client folds every failure into 1 and tells the job's code in words.
submit() {
    { ray job submit --working-dir "${WORKING_DIR:-$here}" -- python -m jobs.nightly "$@" && echo "ended with 0"; } 2>&1 |
        tee "$log"
    if [ "$(tail -n 1 "$log")" = "ended with 0" ]; then
        return 0
    fi
    code=$(sed -n 's/.*Status message: Job entrypoint command failed with exit code \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    return "${code:-4}"
}

tries=${TRIES:-3}
while :; do
    code=0
    submit "$@" || code=$?
    tries=$((tries - 1))
    if [ "$code" != 4 ] || [ "$tries" -le 0 ]; then
        exit "$code"
    fi
    echo "incomplete; the same night again in ${PAUSE:-60} s" >&2
    sleep "${PAUSE:-60}"
done
