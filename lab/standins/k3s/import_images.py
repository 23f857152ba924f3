"""Have images on this node without a registry: ``python3 -m lab.standins.k3s.import_images NAME…``."""

import sys

from lab.standins.k3s.image_store import ImageStore
from lab.standins.k3s.runtime import import_image

if __name__ == "__main__":
    for name in sys.argv[1:]:
        import_image(ImageStore(), name)
