"""Record what plain torch answers on the sample scans, for ``icmoe runtime`` to compare with.

    python scripts/plain_masks.py

It is to be done again when the default experts, the sample scans or the way in which boxes are
answered have changed.
"""

from icmoe_core.model import load_model
from icmoe_core.runtimes.agreement import masks_of, sample_cases
from icmoe_core.runtimes.plain_masks import FILE, record_masks


def main() -> None:
    """Work out the masks on the CPU, and write them into the package."""
    model, cases = load_model(device="cpu", runtime="torch"), list(sample_cases())
    record_masks(model, cases, masks_of(model, cases))
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
