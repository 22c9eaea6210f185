"""The order of the pipeline for the frames of one video: detect, link, segment, settle, propagate, clean.

The stages, `gotowce segment` and the evaluation call these functions, so that they process the same pixels in
the same steps:

1. ``detect.detect`` finds the designators of each frame, by consensus if there are several detectors;
2. ``segment.segment`` links the designators of an object through time, segments the target in each, and
   settles doubtful masks by the object's more reliable masks before and after;
3. ``propagate.propagate``, in mode video, propagates masks through the frames between;
4. ``label.label`` turns each candidate into a label with verdict, reasons and scores.

The pixels are those of the decoded video (``images.decoded``). The stored JPEGs serve people and training:
their chroma is compressed again, which takes the colour from thin marks.

Each step has a module of its own, so that a stage depends on the code of its own steps only.
"""
