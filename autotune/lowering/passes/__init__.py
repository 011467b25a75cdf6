"""Passes over the loop IR, one file each; ``autotune.lowering.pipeline`` lists them in order."""
