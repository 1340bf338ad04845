"""Encoding ahead: scans of a worklist whose slices are encoded before anybody opens them."""
