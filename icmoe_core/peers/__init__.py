"""Peers: other ways to fine-tune the same backbone, trained by the same loop, for comparison."""
