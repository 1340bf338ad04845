"""The journal: what was done on a scan, written down as it happens, and brought back.

``records``       steps of a session as values for JSON; ``packing`` does so with arrays
``files``         one record a line, appended and locked: its ``lines``, and its ``ownership``
``folders``       where journals are kept, and which are unfinished; ``summaries``, what they hold
``expiry``        those that nobody needs any more are deleted
``fingerprints``  what a scan is known by; ``geometry``, what else a journal tells of it
``scan_journal``  the journal of one scan, as the thread sees it that writes it
``recorder``      the same, as the window sees it
``threads``       one that writes the journals, and one for all else
``entries``       what the two tell each other; ``snapshots`` of masks, ``choices`` of models
``journaling``    the journals of one viewer; ``journaled_scan``, one of them
``lookout``       waits until others have left theirs
``writing``       each step written down; ``routing``, which one belongs into which journal
``replaying``     records made again, on ``replayed_masks``; ``restoring``, in a window
``sessions``      earlier work brought back, and kept as a file (``session_files``)
``provenance``    how a mask came about: its ``outlines``; ``saving``, beside the mask
"""
