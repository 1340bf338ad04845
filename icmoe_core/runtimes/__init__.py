"""Runtimes: how the networks are calculated, from plain torch to compiled ones.

A runtime encodes slices, decodes boxes with the frozen base, and lets experts vote. What it cannot
do faster it leaves to plain torch. Which one is used is chosen by device and by measuring
(:mod:`icmoe_core.runtimes.choosing`).
"""
