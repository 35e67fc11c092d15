"""The PyTorch side: answers requests on standard input, a JSON object per line.

{"case": NAME, "seconds": S} builds and warms up the case if it is another than before, runs it for about S seconds and answers
{"seconds": [...]}, the time of every run. {"case": NAME, "memory": true} answers {"bytes": N}, the most live bytes of a run, and
{"case": NAME, "profile": N} the seconds of N runs and of every operator in them. {"case": NAME, "operations": true} answers
{"operations": N}, the multiplications and additions of the products, convolutions and attentions of a run; {"product": N,
"seconds": S} answers as the first, of a product of matrices of N rows and columns.
"""

import json
import os
import sys
import time

import torch

import loading
import operators
import steps

THREADS = int(os.environ["GRADWAY_THREADS"])
DEVICE = os.environ["GRADWAY_DEVICE"]


def find(name: str):
    build = operators.CASES.get(name) or loading.CASES.get(name) or steps.find(name)
    if build is None:
        raise KeyError(f"no case {name}")
    return build()


def synced(run):
    """The same, but done when it returns."""

    def run_and_wait():
        run()
        torch.cuda.synchronize()

    return run if DEVICE == "cpu" else run_and_wait


def measure(run, seconds: float) -> list[float]:
    times = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def peak_bytes(run) -> int:
    """Live tensor bytes before the run and the most that the allocator adds to them during it."""
    import gc

    gc.collect()
    if DEVICE != "cpu":
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated()
    tensors = {}
    for thing in gc.get_objects():
        # Not isinstance, which wakes deprecated objects of PyTorch to ask them for their class.
        if issubclass(type(thing), torch.Tensor):
            storage = thing.untyped_storage()
            tensors[storage.data_ptr()] = storage.nbytes()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    live = peak = 0
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return sum(tensors.values()) + peak


def operations(run) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def product(side: int):
    a, b = torch.randn(side, side), torch.randn(side, side)
    return lambda: torch.mm(a, b)


def profile(run, runs: int) -> dict:
    start = time.perf_counter()
    for _ in range(runs):
        run()
    seconds = time.perf_counter() - start
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(runs):
            run()
    events = profiler.key_averages()
    # The profiler slows what it measures: its times are scaled to the run without it.
    total = sum(event.self_cpu_time_total for event in events)
    return {"seconds": seconds, "operators": {event.key: event.self_cpu_time_total / total * seconds for event in events}}


def main() -> None:
    torch.set_num_threads(THREADS)
    torch.set_default_device(DEVICE)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = bool(os.environ["GRADWAY_TF32"])
    torch.manual_seed(0)
    name, run = None, None
    for line in sys.stdin:
        request = json.loads(line)
        wanted = request.get("case", request.get("product"))
        if wanted != name:
            run = None
            name, run = wanted, synced(find(wanted) if "case" in request else product(wanted))
            run()
            run()
        if request.get("memory"):
            answer = {"bytes": peak_bytes(run)}
        elif request.get("operations"):
            answer = {"operations": operations(run)}
        elif request.get("profile"):
            answer = profile(run, request["profile"])
        else:
            answer = {"seconds": measure(run, request["seconds"])}
        print(json.dumps(answer), flush=True)


main()
