"""The small image-text model: a CLIP of open_clip that has only ever seen the studio.

Its configuration, merges, weights, scores and model card lie beside this file;
:mod:`thesislib.pretrained.image_text.recipe` makes them again.
"""
