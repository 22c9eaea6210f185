"""The order of the pipeline for the frames of one video: detect, link, segment, settle, propagate, clean.

The stages, `gotowce segment` and the evaluation all call these functions, so that they see the same pixels
and take the same steps:

1. ``detect.detect``: the designators of each frame, agreed on where several detectors look;
2. ``segment.segment``: designators of one object are linked through time, the target is cut out of each, and
   masks in doubt are settled by the object's surer masks before and after;
3. ``propagate.propagate``: in mode video, masks are propagated through the frames between;
4. ``label.label``: every candidate is cleaned into a label with verdict, reasons and scores.

Pixels are always those of the decoded video (``images.decoded``). The stored JPEGs are for people and for
training: their chroma is coded once more, and thin marks lose their colour by it.

A module a step, so that a stage depends on the code of its own steps alone.
"""
