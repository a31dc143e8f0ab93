#!/usr/bin/env bash
# Looks for the number with the longest Collatz chain, and reads nothing but the environment: any language can do this.
#
#     ckptrun train -- bash examples/collatz.sh
#
# What it saves is a file `step-000042.state` in this attempt's output directory, written beside and renamed: it is whole or not there.
set -euo pipefail

steps=${1:-400} per_step=${2:-40} # numbers tried in one step
output=${CKPTRUN_OUTPUT_DIR:-.}
step=0 longest=0 best=0 answered=

save() {
  file=$output/step-$(printf %06d "$step").state
  echo "$longest $best" >"$file.tmp"
  sync "$file.tmp" # on the disk before it has its name
  mv "$file.tmp" "$file"
  sync "$output"
  echo "saved step $step"
}

if [[ -n ${CKPTRUN_RESUME_FROM:-} ]]; then
  read -r longest best <"$CKPTRUN_RESUME_FROM"
  echo "continuing after step $CKPTRUN_RESUME_STEP"
  step=$((CKPTRUN_RESUME_STEP + 1))
fi

for (( ; step < steps; step++)); do
  for ((start = step * per_step + 1; start <= (step + 1) * per_step; start++)); do
    for ((n = start, length = 1; n != 1; length++)); do
      if ((n % 2)); then n=$((3 * n + 1)); else n=$((n / 2)); fi
    done
    if ((length > longest)); then longest=$length best=$start; fi
  done
  echo "step $step of $steps: $best has a chain of $longest"

  # A save is asked for while this file is there; the same request is answered once.
  request=$(cat "${CKPTRUN_REQUEST_FILE:-/dev/null}" 2>/dev/null) || request=
  if [[ -n $request && $request != "$answered" ]]; then
    save
    answered=$request
    if [[ $request == *save_and_stop* ]]; then exit 0; fi
  elif (((step + 1) % 50 == 0)); then
    save
  fi
done

echo "of 1 to $((steps * per_step)), $best has the longest chain: $longest" | tee "$output/result.txt"
if [[ -n ${CKPTRUN_OUTPUT_DIR:-} ]]; then : >"$CKPTRUN_OUTPUT_DIR/../done"; fi # the proof that this run is complete
