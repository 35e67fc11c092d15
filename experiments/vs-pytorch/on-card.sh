#!/usr/bin/env bash
# What is to be measured on a graphics card, in less than ten minutes: parity, steps and memory, and the same in PyTorch.
#
#   experiments/vs-pytorch/on-card.sh BINARIES OUT
#
# BINARIES holds what was built on a machine like this one, stripped:
#
#   cargo build --release -p gradway -p vs-pytorch -p vmt-pascal --features gradway/cuda,gradway/vulkan,vs-pytorch/cuda
#   cargo test --release -p gradway --features cuda,vulkan --test backends --no-run         as backends
#   cargo test --release -p gradway-tests --features cuda --test parity --no-run            as parity-cuda
#   cargo test --release -p gradway-tests --features vulkan --test parity --no-run          as parity-vulkan
#
# The card needs a driver, the CUDA toolkit (CUDA_PATH) and a python3 with PyTorch, torchvision and timm; what is not in BINARIES
# is left out. COCO, if it is set, is a folder in COCO's layout: the detectors are measured on its photos. OUT gets a JSON file or
# a log for every part, of which `gradway report OUT` makes tables, and given.txt: the most memory of the card during each, by
# nvidia-smi.
set -uo pipefail

binaries=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
device=${DEVICE:-cuda:0}
mkdir -p "$out"

part() { # NAME SECONDS COMMAND...: one that fails or takes too long does not stop the others
    local name=$1 limit=$2
    shift 2
    if ! command -v "$1" >/dev/null; then
        echo "$name left out: there is no $1" | tee -a "$out/failed"
        return
    fi
    local left=$((590 - SECONDS))
    if ((left < limit)); then limit=$left; fi
    if ((limit < 10)); then
        echo "$name left out: the ten minutes are over" | tee -a "$out/failed"
        return
    fi
    echo "== $name (${SECONDS} s)"
    # What the card has given away, which is more than what is live in it.
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits --loop-ms=200 >"$out/given" &
    local watch=$!
    timeout "$limit" "$@" >"$out/$name" 2>"$out/$name.err" || echo "$name ended with $?" | tee -a "$out/failed"
    kill "$watch"
    echo "$name: $(sort -n "$out/given" | tail -1) MiB" >>"$out/given.txt"
    rm "$out/given"
}
gradway=$binaries/gradway
beside=("$binaries/vs-pytorch" --python python3 --device "$device" --json)
steps=("UPerNet step" "frozen forward swin_base 512" "frozen forward swin_large")

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >"$out/card.txt"
part parity-cuda.log 120 "$binaries/parity-cuda" --test-threads 8
part backends-cuda.log 120 "$binaries/backends" cuda:: --include-ignored --nocapture
part times.json 90 "${beside[@]}" --rounds 3 --seconds 0.3 "${steps[@]}"
part times-tf32.json 70 "${beside[@]}" --rounds 3 --seconds 0.3 --tf32 "${steps[@]}"
part memory.json 50 "${beside[@]}" --memory "UPerNet step" "Mask R-CNN"
if [ -n "${COCO:-}" ]; then
    coco="$here/../e3va-coco/bench.toml"
    for model in swin_base swin_large; do
        part "cascade-$model.json" 60 "$gradway" bench memory "$coco" --set "backbone.name=$model" \
            --methods e3va,full --device "$device" --json
    done
    # Alone, for what is given away: the other method would be what is seen.
    part cascade-e3va.json 30 "$gradway" bench memory "$coco" --set backbone.name=swin_large --methods e3va \
        --device "$device" --json
fi
part tasks.json 90 "$binaries/vmt-growth" --rounds 1 --seconds 0.2 --side 448 --batch 32 --device "$device" --json \
    --methods vmt_adapter,vmt_adapter_lite,vmt_highway
part methods.json 60 "$gradway" bench speed --methods fixed,e3va,lora,adapter,vmt_adapter,full --device "$device" --json
part rate.json 60 "${beside[@]}" --rate --rounds 1 --seconds 0.3 --tf32 "${steps[@]}"
part strategies.jsonl 120 "$binaries/card-strategies" --json
part backends-vulkan.log 60 "$binaries/backends" vulkan:: --nocapture
part parity-vulkan.log 60 "$binaries/parity-vulkan" --test-threads 8
part times-compiled.json 120 "${beside[@]}" --rounds 2 --seconds 0.3 --tf32 --compile "${steps[@]}"
echo "== done ($SECONDS s)"
