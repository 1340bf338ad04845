"""The worklist: the scans of a folder, one after the other.

``scan_folders``  which files are scans
``listing``       the scans and how far each is
``browsing``      going through them
``opening``       a scan and its mask, read; ``replacing``, in place of the present one
"""
