"""What bench/cpu/run makes of its samples: files CASE.SIDE.ROUND.json in a folder.

    report.py best FOLDER CASE              the fastest of PyTorch's candidates
    report.py table FOLDER COMMAND COMMIT   the results as Markdown, the table last
"""
import datetime
import json
import os
import pathlib
import platform
import sys

LIMIT = 0.05  # share of its time that a clean step may wait for processors
LEAST = 3     # steps kept in any case


def read(folder):
    """{case: {side: [report, ...]}}"""
    cases = {}
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        case, side, _ = path.name[: -len(".json")].split(".")
        cases.setdefault(case, {}).setdefault(side, []).append(json.loads(path.read_text()))
    return cases


def median(numbers):
    numbers = sorted(numbers)
    return (numbers[len(numbers) // 2] + numbers[(len(numbers) - 1) // 2]) / 2


def pool(reports):
    """(median ms, kept, all) of the steps of all turns, without the disturbed ones."""
    samples = sorted((s for report in reports for s in report["samples"]), key=lambda s: s["waited_ms"] / s["ms"])
    kept = [s["ms"] for i, s in enumerate(samples) if i < LEAST or s["waited_ms"] <= LIMIT * s["ms"]]
    return median(kept), len(kept), len(samples)


def best(sides):
    return min((side for side in sides if side.startswith("torch ")), key=lambda side: pool(sides[side])[0])


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def order(case):
    shape, dtype = case.rsplit("-", 1)
    batch, length = map(int, shape.split("x"))
    return length, dtype


def table(cases, command, commit):
    first = next(iter(cases.values()))
    torch_version = next(r["torch"] for side, reports in first.items() if side != "llmrun" for r in reports)
    print(f"# GPT-2 124M on a CPU: training steps beside PyTorch\n\n"
          f"- {datetime.date.today()}, commit {commit}\n"
          f"- {processor()}, {len(os.sched_getaffinity(0))} processors, {platform.system()} {platform.release()}\n"
          f"- PyTorch {torch_version}, Python {platform.python_version()}\n"
          f"- `{command}`\n\n"
          f"Forward, loss, backward, clipping and AdamW; random tokens; medians of the steps in which threads waited for\n"
          f"processors at most {LIMIT:.0%} of the time, of at least {LEAST} steps. Exact order (numerics.exact) on our side.\n")
    print("| batch x length | precision | llmrun tok/s | torch tok/s | ratio | llmrun ms | torch ms | kept of | torch is | RSS GB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case, sides in sorted(cases.items(), key=lambda item: order(item[0])):
        shape, dtype = case.rsplit("-", 1)
        batch, length = map(int, shape.split("x"))
        chosen = best(sides)
        ours, ours_kept, ours_all = pool(sides["llmrun"])
        theirs, theirs_kept, theirs_all = pool(sides[chosen])
        rss = [max(r["rss_bytes"] for r in sides[side]) / 1e9 for side in ("llmrun", chosen)]
        print(f"| {shape} | {dtype} | {batch * length / ours * 1e3:.1f} | {batch * length / theirs * 1e3:.1f} | "
              f"{theirs / ours:.2f} | {ours:.0f} | {theirs:.0f} | {ours_kept}/{ours_all}, {theirs_kept}/{theirs_all} | "
              f"{chosen[len('torch '):]} | {rss[0]:.1f}, {rss[1]:.1f} |")


def main():
    cases = read(sys.argv[2])
    if sys.argv[1] == "best":
        print(best(cases[sys.argv[3]])[len("torch "):])
    else:
        table(cases, sys.argv[3], sys.argv[4])


if __name__ == "__main__":
    main()
