"""Learning: fine-tuning on what was approved, in a process of its own, and the versions it makes.

The modules without Qt (handover, messages, child, budgets, curves, outlines, version_store) are
pure; training_process, trainer, sources, versions and remembering join them to the window.
"""
