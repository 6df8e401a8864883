#!/bin/sh
# Fits a line to points.csv by gradient descent, with awk alone, and tells gittrack how it goes:
#
#   gittrack run -e shell -- ./train.sh --rate 0.3
set -eu
export LC_ALL=C
cd "$(dirname "$0")"

rate=0.1
epochs=12
while [ $# -gt 0 ]; do
    case $1 in
        --rate) rate=$2 ;;
        --epochs) epochs=$2 ;;
        *) echo "usage: train.sh [--rate RATE] [--epochs EPOCHS]" >&2; exit 2 ;;
    esac
    shift 2
done
gittrack record param "rate=$rate" "epochs=$epochs"

slope=0
intercept=0
epoch=0
while [ "$epoch" -lt "$epochs" ]; do
    epoch=$((epoch + 1))
    # One step down the gradient of the mean squared error over all points.
    set -- $(awk -F, -v a="$slope" -v b="$intercept" -v rate="$rate" '
        { miss = a * $1 + b - $2; loss += miss * miss; da += 2 * miss * $1; db += 2 * miss }
        END { printf "%.6f %.6f %.6f", a - rate * da / NR, b - rate * db / NR, loss / NR }' points.csv)
    slope=$1 intercept=$2 loss=$3
    gittrack record metric "loss=$loss" "slope=$slope" --step "$epoch"
done

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
printf 'y = %s * x + %s\n' "$slope" "$intercept" >"$output/line.txt"
gittrack record artifact "$output/line.txt"
gittrack record tag "fitted-with=awk"
cat "$output/line.txt"
