"""Evaluation protocols: an encoder and a data set in, a dictionary of metrics out.

Every result counts the videos ``evaluated`` and ``skipped``. An encoder is any module with
``encode(batch) -> (B, D)``, where ``batch["video"]`` is ``(B, N, 3, T, H, W)``. Frozen features
take three lines::

    train, test = (extract(model, manifest.select(split=s), config) for s in ("train", "test"))
    linear_probe(train, test)["probe_top1"]
    sgd_probe(train, test)["sgd_probe_top1"]  # as CoCLR was released
    nonlinear_probe(train, test)["nonlinear_top1"]
    retrieval(test, train)["retrieval_r1"]  # r5, r10, r20, r50: test videos query training videos

* ``features``: windows, crops and the protocols of test time. ``crops`` is 1, 5 or 10;
  ``protocol`` is ``full`` (no video is lost, nothing is augmented) or what was released for a
  method: ``as_released`` (MemDPC), ``as_released_dpc``, ``as_released_coclr``.
* ``linear_probe``, ``nonlinear_probe``, ``retrieval``: frozen features, as above.
* ``finetune``: the whole network, for models with ``classifier(classes, dropout)``::

    config = FinetuneConfig.preset("small").override({"crops": 10})
    classifier = model.classifier(len(manifest.classes), config.dropout)
    finetune(classifier, manifest, config, method="mine")["finetune_top1"]

* ``data_efficiency``: the same with 10, 20, 50 and 100 % of the labels::

    config = FinetuneConfig.preset("small").override({"per_class": 0})
    data_efficiency(model, manifest, config, method="mine")["data_efficiency"]

* ``fusion``: two streams from the probabilities that fine-tuning left in its run folders::

    rgb, flow = load_probabilities(rgb_run.path), load_probabilities(flow_run.path)
    fuse([rgb, flow])["fusion_top1"]

* ``unintentional``: before, across or after the moment an action fails, for models with
  ``predicted_and_true(batch)``, on ``synthetic_oops`` or data with a ``failures.csv``::

    config = UnintentionalConfig.preset("small")
    unintentional_probe(model, manifest, config)["oops_probe_top1"]
    unintentional_finetune(model, manifest, config, method="mine")["oops_finetune_top1"]

* ``index``: features of every video of a data set, with what they were made of; look-up by cosine::

    index = build_index(model, manifest, config)
    index.save("mine_index")
    FeatureIndex.load("mine_index").search(k=5)

* ``imagenet``: single-frame features of an ImageNet network, a baseline for the probes.
"""
