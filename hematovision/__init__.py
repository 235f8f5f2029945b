"""What the four scripts share, one noun a room; see each room's first line."""

import os

# OpenCV reads these when it is first imported, and whoever imports it here has imported us before.
# A small file may promise more pixels than memory holds: so many are decoded at most.
MOST_PIXELS = 100_000_000
os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MOST_PIXELS)
