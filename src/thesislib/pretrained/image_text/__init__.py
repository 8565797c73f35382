"""The small image-text model, which has only ever seen the studio.

Its configuration, merges, weights, scores and model card lie beside this file;
:mod:`thesislib.pretrained.image_text.recipe` makes them again.
"""
