"""Export formats by name. A new format is one module and one line here."""

from gotowce_dagster.interchange import (
    coco,
    csv_table,
    cvat,
    datumaro,
    fiftyone,
    labelstudio,
    voc,
    yolo,
)
from gotowce_dagster.interchange.base import Format

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT
    for module in (coco, yolo, voc, cvat, datumaro, fiftyone, labelstudio, csv_table)
}
