"""Evaluation protocols: what an encoder gives and what is true in, scores out.

They know no method. An encoder is any module with ``encode(batch) -> (B, D)``, where
``batch["video"]`` is ``(B, N, 3, T, H, W)``. Rows of features or predictions, one a video, are
:class:`~thesislib.evaluation.scores.PerVideo`; what is measured of them are
:class:`~thesislib.evaluation.scores.Scores`, which count the videos evaluated and skipped and are
put together by ``|``. Frozen features take a few lines::

    train, test = (extract(model, manifest.select(split=s), config) for s in ("train", "test"))
    scores = accuracy(linear_probe(train, test), "probe_top1")
    scores |= accuracy(nonlinear_probe(train, test), "nonlinear_top1")
    scores |= retrieval(test, train)  # R@1, 5, 10, 20, 50: test videos query training videos
    scores.metrics

* ``features``: windows and crops of test time. ``crops`` is 1, 5 or 10; a
  :class:`~thesislib.evaluation.features.TestView` says how videos are seen. In ``FULL`` none is
  lost and nothing is augmented.
* ``linear_probe``, ``nonlinear_probe``, ``retrieval``: frozen features, as above.
* ``finetune``: the whole network, for models with ``classifier(classes, dropout)``::

    config = FinetuneConfig.preset("small").override({"crops": 10})
    build = partial(model.classifier, len(manifest.classes), config.dropout)
    tuned, scores = finetune(build, manifest, config, name="mine", view=FULL)

* ``fusion``: two streams from the probabilities that fine-tuning left in its run folders::

    rgb, flow = load_rows(rgb_run.path), load_rows(flow_run.path)
    accuracy(fuse([rgb, flow]), "fusion_top1").metrics

* ``index``: features of every video of a data set, with what they were made of; look-up by cosine::

    index = build_index(model, manifest, config)
    index.save("mine_index")
    FeatureIndex.load("mine_index").search(k=5)

* ``recognition``: top-1, top-5 and their mean; seen and unseen classes; means over draws, paired::

    few = over_draws([top(rows) for rows in trials], {"top1": "fewshot_top1"})
    interval(few, "fewshot_top1"), paired(few, other, "fewshot_top1")

* ``localisation``, ``proposals``: mAP by five named definitions, recall of proposals; their tables
  are :class:`~thesislib.evaluation.segments.Segments`, kept with the run as JSON lines::

    predictions = suppress(Segments.of(videos, start, end, labels, scores))
    predictions.save(run / "predictions.jsonl")
    scores = localisation(truth, predictions, THUMOS14)  # map_0.3, ... map_mean
    scores |= proposal_recall(truth, proposals)

* ``aligning``, ``alignment``: sentences and a video of any length, by windows; R@1, ROC-AUC,
  seconds off::

    aligned = align_windows(tan, seconds, sentences, heard)
    alignment([Pointing(aligned.similarity[seen], start, end)])

* ``segmentation``, ``warping``: actions laid over a video in order; accuracy, IoU, IoD, edit, F1::

    labels = actions[in_order(scores)]
    segmentation({"v1": truth}, {"v1": labels}, background=None)

* ``text_retrieval``: R@k, median and mean rank of texts and videos, both ways, ties by name.
* ``imagenet``: single-frame features of an ImageNet network, a baseline for the probes.
"""
