#!/usr/bin/env bash
# What is to be measured on a graphics card, in less than ten minutes: parity, steps and memory, and the same in PyTorch.
#
#   experiments/vs-pytorch/on-card.sh BINARIES OUT
#
# BINARIES holds `gradway`, `vs-pytorch` and `parity`, built with `--features cuda` on a machine like this one:
#
#   cargo build --release -p gradway --features cuda
#   cargo build --release -p vs-pytorch --features cuda
#   cargo test --release -p gradway-kernels --features cuda,cpu --test parity --no-run
#
# The card needs a driver, the CUDA toolkit (CUDA_PATH) and a python3 with PyTorch, torchvision and timm. COCO, if it is set, is a
# folder in COCO's layout: the detectors are measured on its photos. OUT gets a JSON file or a log for every part.
set -uo pipefail

binaries=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
device=${DEVICE:-cuda:0}
mkdir -p "$out"

part() { # NAME SECONDS COMMAND...: one that fails or takes too long does not stop the others
    local name=$1 limit=$2
    shift 2
    echo "== $name (${SECONDS} s)"
    timeout "$limit" "$@" >"$out/$name" 2>"$out/$name.err" || echo "$name ended with $?" | tee -a "$out/failed"
}
beside=("$binaries/vs-pytorch" --python python3 --device "$device" --json)

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >"$out/card.txt"
part parity.log 150 "$binaries/parity" --test-threads 8
steps=("UPerNet step" "frozen forward swin_base 512" "frozen forward swin_large")
part times.json 110 "${beside[@]}" --rounds 3 --seconds 0.3 "${steps[@]}"
part times-tf32.json 90 "${beside[@]}" --rounds 3 --seconds 0.3 --tf32 "${steps[@]}"
part memory.json 60 "${beside[@]}" --memory "UPerNet step" "Mask R-CNN"
part methods.json 90 "$binaries/gradway" bench speed --device "$device" --json
if [ -n "${COCO:-}" ]; then
    coco="$here/../e3va-coco/bench.toml"
    for model in swin_base swin_large; do
        part "cascade-$model.json" 90 "$binaries/gradway" bench memory "$coco" --set "backbone.name=$model" \
            --methods e3va,full --device "$device" --json
    done
fi
echo "== done ($SECONDS s)"
