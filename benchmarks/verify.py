"""How fast every byte is checked, beside how fast it can be read: `ckptrun verify --deep --jobs 2` and `cat FILES > /dev/null`.

    python benchmarks/verify.py [--quick] [--mib 4096] [--disk DIR]

Two whole processes in turn, on files that are in memory (the page cache): eight zip archives as torch.save and numpy write them, each
member with its CRC-32, and the same bytes sealed, each file with its XXH3-128. Prints a table for the README; it is no test.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

FILES = 8
PROGRAM = os.path.join(os.path.dirname(sys.executable), "ckptrun")


def main() -> None:
    parser = argparse.ArgumentParser(description="what checking every byte costs")
    parser.add_argument("--quick", action="store_true", help="medians of 5 instead of 15")
    parser.add_argument("--mib", type=int, default=4096, help="MiB in all")
    parser.add_argument("--disk", default="/var/tmp", help="where the files lie")
    options = parser.parse_args()
    times = 5 if options.quick else 15
    print("| every byte, two threads | ckptrun verify --deep | cat to /dev/null | times as fast as cat |")
    print("| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(dir=options.disk) as place:
        files = make(place, options.mib)
        row("zip archives, CRC-32", place, files, times)
        subprocess.run([PROGRAM, "seal", place], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        row("the same, sealed, XXH3-128", place, files, times)


def make(place: str, mib: int) -> list[str]:
    """Files that are whole archives of one stored member each."""
    paths = [os.path.join(place, f"model_{number}.npz") for number in range(FILES)]
    block = os.urandom(1 << 20)
    for path in paths:
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
            archive.open("w.npy", "w", force_zip64=True) as member,
        ):
            member.write(header((mib // FILES) << 20))
            for _ in range(mib // FILES):
                member.write(block)
    return paths


def header(count: int) -> bytes:
    """Of a .npy file with so many bytes."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count},), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def row(what: str, place: str, files: list[str], times: int) -> None:
    ours, theirs = [], []
    for _ in range(times + 1):
        theirs.append(took(["cat", *files]))
        ours.append(took([PROGRAM, "verify", "--deep", "--jobs", "2", place]))
    mine, cats = statistics.median(ours[1:]), statistics.median(theirs[1:])
    print(f"| {what} | {mine:.2f} s | {cats:.2f} s | {cats / mine:.2f} |", flush=True)


def took(argv: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
