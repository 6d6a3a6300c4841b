#!/usr/bin/python3
"""Computes for a share of one processor, standing aside as attack.py does, until it is killed.

Two cores do less for a tunnel while anybody computes on them, even one who only takes what is left over. What an attack
costs beside that is to be seen, so this runs in the quiet times, with as much of the processor as the attack took.
"""
import os
import sys
import time

STEP = 0.002  # seconds


def main(share):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    begun = time.monotonic()
    while True:
        if time.process_time() > share * (time.monotonic() - begun):
            time.sleep(STEP)
        else:
            end = time.monotonic() + STEP
            while time.monotonic() < end:
                pass


if __name__ == "__main__":
    main(float(sys.argv[1]))
