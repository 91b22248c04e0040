"""Whole models over pictures and videos of any size, as whole.py has them: Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""
from .whole import grids


def run(bench):
    grids(bench)
