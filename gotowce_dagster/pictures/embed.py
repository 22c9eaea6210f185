"""Pictures embedded in HTML pages."""

import base64

import cv2
import numpy as np


def data_uri(picture: np.ndarray, limit: int, width: int = 1320) -> str:
    """Encode an RGB picture as a JPEG data URI of at most about ``limit`` bytes.

    Args:
        width: maximum width in pixels; size and quality are reduced until the result fits.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    scale = min(1.0, width / bgr.shape[1])
    jpeg = np.zeros(0, np.uint8)
    for quality in (88, 80, 70, 60, 50, 40, 30):
        small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        if jpeg.size <= limit * 3 // 4:
            break
        scale *= 0.92
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
